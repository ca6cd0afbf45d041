"""Runs `python -m bench`, which is `make bench`: Loom beside the bare loop, in turns, in one call.

The ratio is the result. What is a record a second here says nothing about another machine, or about this one while it
does something else; what both sides reach in turns does.

Over RabbitMQ the records of the pipeline are only moved. Loom is measured twice: with every hop forced, where it does
what the bare loop with its three hops does, and as a user runs it, where no batch visits a stage without work."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench import embedded, figures, report, reviews
from bench.distributed import Servers, bare_passage, cluster, loom_passage, servers
from bench.pipeline import DATABASE, definition
from bench.report import Pair
from bench.result import BenchError
from loom_dev.errors import SetupError

_BATCH_SIZES = (50, 100, 500)
_WAYS = {"every hop forced": True, "as a user runs it": False}


def main() -> None:
    """Exit code 1 where the measurement is worth nothing, or less than asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.partition("\n")[0])
    parser.add_argument("--records", type=int, default=100_000, help="rows of the CSV file (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=2, help="turns of both sides per batch size")
    parser.add_argument("--batch", type=int, nargs="+", default=_BATCH_SIZES, help="batch sizes")
    parser.add_argument("--only", choices=("distributed", "embedded"), help="one half alone")
    parser.add_argument("--least", type=float, default=0.0, help="fail where a median ratio over RabbitMQ is lower")
    parser.add_argument("--patience", type=float, default=180.0, help="seconds a single passage may take")
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="loom-bench-") as folder:
        source = Path(folder, "reviews.csv")
        reviews.write(source, options.records)
        print(f"{options.records:,} records, {source.stat().st_size / options.records:.0f} bytes each\n", flush=True)
        try:
            if options.only != "embedded":
                asyncio.run(_distributed(source, options))
            if options.only != "distributed":
                results = asyncio.run(_embedded(source, options))
                print(report.table("Embedded into SQLite, beside a bare executemany", results) + "\n")
                _keep("sqlite", results, options.records)
        except (BenchError, SetupError) as error:
            sys.exit(f"bench: {error}")
    print(f"{time.monotonic() - began:.0f} s in all")


async def _distributed(source: Path, options: argparse.Namespace) -> None:
    with servers() as backends:
        async with backends.postgres.database() as dsn:
            for way, every_hop in _WAYS.items():
                results = await _over_rabbitmq(source, options, backends, dsn, every_hop=every_hop)
                print(report.table(f"RabbitMQ into Postgres, {way}, beside one bare process", results))
                print(report.shares(results) + "\n", flush=True)
                _keep("hops" if every_hop else "as_run", results, options.records)
                _see_that_none_is_below(options.least, results)


async def _over_rabbitmq(
    source: Path, options: argparse.Namespace, backends: Servers, dsn: str, *, every_hop: bool
) -> dict[int, list[Pair]]:
    results: dict[int, list[Pair]] = {batch: [] for batch in options.batch}
    with backends.rabbitmq.vhost() as amqp:
        async with cluster(amqp, dsn, source.parent, every_hop=every_hop) as services:
            await loom_passage(amqp, dsn, *_warm_up(source), services, options.patience)
            pids = {**services, **backends.pids}
            for _ in range(options.rounds):
                for batch, pairs in results.items():
                    moved = definition(str(source), f"{DATABASE}?table=loom_reviews", batch)
                    loom = await loom_passage(amqp, dsn, moved, options.records, pids, options.patience)
                    beside = (str(source), options.records, batch, backends.pids, options.patience)
                    bare = await bare_passage(amqp, dsn, *beside)
                    pairs.append((loom, bare))
                    _tell(batch, (loom, bare))
    return results


def _warm_up(source: Path) -> tuple[dict[str, Any], int]:
    """Return a small run, which is made first so that none pays for what a process does only once."""
    small = source.with_name("warm_up.csv")
    reviews.write(small, 1000)
    return definition(str(small), f"{DATABASE}?table=loom_reviews", 50), 1000


async def _embedded(source: Path, options: argparse.Namespace) -> dict[int, list[Pair]]:
    results: dict[int, list[Pair]] = {batch: [] for batch in options.batch}
    for _ in range(options.rounds):
        for batch, pairs in results.items():
            loom, bare = [
                await embedded.passage(module, source, options.records, batch, options.patience)
                for module in ("bench.embedded_run", "bench.bare_sqlite")
            ]
            pairs.append((loom, bare))
            _tell(batch, (loom, bare))
    return results


def _keep(name: str, results: dict[int, list[Pair]], records: int) -> None:
    for batch, pairs in results.items():
        if f"{name}.{batch}" in figures.FIGURES:
            figures.keep(f"{name}.{batch}", report.ratio(pairs), f"{records:,} records")
        if f"{name}.{batch}.moving" in figures.FIGURES:
            figures.keep(f"{name}.{batch}.moving", report.ratio_while_moving(pairs), f"{records:,} records")


def _see_that_none_is_below(least: float, results: dict[int, list[Pair]]) -> None:
    for batch, pairs in results.items():
        if (ratio := report.ratio(pairs)) < least:
            raise BenchError(f"a ratio of {ratio:.2f} at batch {batch}; at least {least:g} was asked for")


def _tell(batch: int, pair: Pair) -> None:
    loom, bare = pair
    print(f"  batch {batch}: Loom {loom.rate:,.0f}/s, bare {bare.rate:,.0f}/s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
