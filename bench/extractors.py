"""Measures what partitions and a second extractor bring where the source is the slowest part: `python -m
bench.extractors`.

The source waits 2 ms for each record and computes nothing, so that the result says what Loom adds, and not how many
cores there are. Its rate alone is 500 records a second for each page that is read at the same time. `--ahead` measures
one partition of which each record takes 10 us, as of a database behind a network, in batches of 500: what is lost of
the 100,000 a second that its pages allow, one after the other."""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench import figures
from bench.distributed import Servers, cluster, loom_passage, servers
from bench.pipeline import DATABASE, definition
from bench.result import BenchError
from loom_dev.errors import SetupError

_BATCH = 100
_AHEAD_BATCH, _AHEAD_US = 500, 10
_WAYS = (("shared", 1, 1), ("shared", 4, 1), ("alone", 4, 1), ("alone", 4, 2))
"""Says of each measurement how a process reads the source, into how many pieces it is split, and how many extractors
there are."""
_WORDS = {"shared": "pages at the same time", "alone": "one page after the other"}


def main() -> None:
    """Exit code 1 where the measurement is worth nothing, or two extractors bring less than asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench.extractors", description=__doc__.partition(":")[0])
    parser.add_argument("--records", type=int, default=6_000)
    parser.add_argument("--ahead", action="store_true", help="measure one partition whose pages take 10 us a record")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument(
        "--least", type=float, default=0.0, help="fail where two extractors are less than so many times one"
    )
    parser.add_argument("--patience", type=float, default=180.0, help="seconds a single passage may take")
    options = parser.parse_args()
    try:
        if options.ahead:
            print(f"{asyncio.run(_ahead(options)):,.0f} records/s of {1_000_000 // _AHEAD_US:,}")
            return
        rates = asyncio.run(_measured(options))
    except (BenchError, SetupError) as error:
        sys.exit(f"bench: {error}")
    median = {way: statistics.median(found) for way, found in rates.items()}
    print(f"{'a process reads':<26}{'partitions':>11}{'extractors':>11}{'records/s':>11}")
    for how, parts, extractors in rates:
        print(f"{_WORDS[how]:<26}{parts:>11}{extractors:>11}{median[how, parts, extractors]:>11,.0f}")
    times, pieces = median["alone", 4, 2] / median["alone", 4, 1], median["shared", 4, 1] / median["shared", 1, 1]
    print(f"two extractors are {times:.2f} times one; in one, four partitions are {pieces:.2f} times one")
    figures.keep("extractors.two", times, f"{options.records:,} records")
    figures.keep("extractors.pieces", pieces, f"{options.records:,} records")
    if times < options.least:
        sys.exit(f"bench: {times:.2f} times; at least {options.least:g} was asked for")


async def _measured(options: argparse.Namespace) -> dict[tuple[str, int, int], list[float]]:
    rates: dict[tuple[str, int, int], list[float]] = {way: [] for way in _WAYS}
    with servers() as backends, tempfile.TemporaryDirectory(prefix="loom-bench-") as folder:
        async with backends.postgres.database() as dsn:
            for _ in range(options.rounds):
                for extractors in (1, 2):
                    await _with(extractors, backends, dsn, Path(folder), options, rates)
    return rates


async def _ahead(options: argparse.Namespace) -> float:
    """Return the best rate of some passages over a source whose pages take their time."""
    rates: list[float] = []
    with servers() as backends, tempfile.TemporaryDirectory(prefix="loom-bench-") as folder:
        async with backends.postgres.database() as dsn:
            with backends.rabbitmq.vhost() as amqp:
                async with cluster(amqp, dsn, Path(folder), every_hop=False) as services:
                    for records in (1_000, *[options.records] * options.rounds):
                        source = f"bench.waiting_source:Records://shared/{records}/{_AHEAD_US}"
                        moved = definition(source, f"{DATABASE}?table=loom_reviews", _AHEAD_BATCH, 1)
                        passage = await loom_passage(amqp, dsn, moved, records, services, options.patience)
                        rates.append(passage.rate)
    return max(rates[1:])


async def _with(
    extractors: int,
    backends: Servers,
    dsn: str,
    folder: Path,
    options: argparse.Namespace,
    rates: dict[tuple[str, int, int], list[float]],
) -> None:
    with backends.rabbitmq.vhost() as amqp:
        async with cluster(amqp, dsn, folder, every_hop=False, extractors=extractors) as services:
            await loom_passage(amqp, dsn, _moved("shared", 1000, 4), 1000, services, options.patience)
            for how, parts, wanted in _WAYS:
                if wanted == extractors:
                    moved = _moved(how, options.records, parts)
                    passage = await loom_passage(amqp, dsn, moved, options.records, services, options.patience)
                    rates[how, parts, wanted].append(passage.rate)


def _moved(how: str, records: int, parts: int) -> dict[str, Any]:
    """Return the definition that moves `records` records into the private database."""
    source = f"bench.waiting_source:Records://{how}/{records}"
    return definition(source, f"{DATABASE}?table=loom_reviews", _BATCH, parts)


if __name__ == "__main__":
    main()
