"""Measures what more transformers bring where a model takes a second to answer: `python -m bench.transformers`.

Each transformer has 32 calls in flight, so that one is at most 32 records a second, and four are 128: the model is what
limits them, and not the cores. Each number of transformers has as many times the records, so that all passages take as
long, and what a run does once weighs the same in each. The model is simulated, in a process of its own."""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
from pathlib import Path

from bench import figures, reviews
from bench.distributed import Servers, cluster, loom_passage, servers
from bench.model_bound_pipeline import COLUMNS, definition
from bench.model_calls import model
from bench.pipeline import DATABASE
from bench.result import BenchError
from loom_dev.errors import SetupError

AT_ONCE = 32
LATENCY = 1.0
"""Seconds that the simulated model takes for an answer."""
_BATCH = 16
"""Says how many records a batch has: few, so that each transformer has its share of them until the end."""
_NUMBERS = (1, 2, 4)
_WARM_UP = 64


def main() -> None:
    """Exit code 1 where the measurement is worth nothing, or four transformers bring less than asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench.transformers", description=__doc__.partition(":")[0])
    parser.add_argument("--records", type=int, default=960, help="for each transformer (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--least", type=float, default=0.0, help="fail where four are a smaller part of four times one")
    parser.add_argument("--patience", type=float, default=180.0, help="seconds a single passage may take")
    options = parser.parse_args()
    try:
        rates = asyncio.run(_measured(options))
    except (BenchError, SetupError) as error:
        sys.exit(f"bench: {error}")
    medians = {number: statistics.median(found) for number, found in rates.items()}
    print(f"{'transformers':>12}{'records/s':>11}{'of the calls in flight':>24}{'of so many times one':>22}")
    for number, rate in medians.items():
        ideal, linear = rate * LATENCY / (AT_ONCE * number), rate / (medians[1] * number)
        print(f"{number:>12}{rate:>11,.1f}{ideal:>24.2f}{linear:>22.2f}")
    figures.keep("transformers", linear, f"{options.records:,} records for each")
    if linear < options.least:
        sys.exit(f"bench: {linear:.2f} of four times one; at least {options.least:g} was asked for")


async def _measured(options: argparse.Namespace) -> dict[int, list[float]]:
    rates: dict[int, list[float]] = {number: [] for number in _NUMBERS}
    with servers() as backends, tempfile.TemporaryDirectory(prefix="loom-bench-") as folder:
        async with backends.postgres.database() as dsn:
            for _ in range(options.rounds):
                for number, found in rates.items():
                    with tempfile.TemporaryDirectory(dir=folder) as place:
                        found.append(await _rate(number, backends, dsn, Path(place), options))
    return rates


async def _rate(number: int, backends: Servers, dsn: str, folder: Path, options: argparse.Namespace) -> float:
    """Return the records a second of one run with so many transformers, after a small one that does not count."""
    with backends.rabbitmq.vhost() as amqp:
        async with cluster(amqp, dsn, folder, every_hop=False, transformers=number) as pids:
            for count in (_WARM_UP * number, options.records * number):
                source = folder / f"reviews_{count}.csv"
                reviews.write(source, count)
                with model(f"{LATENCY:g}s") as base_url:  # one of its own, so that no answer is known
                    asked = definition(str(source), f"{DATABASE}?table=loom_reviews", base_url, AT_ONCE)
                    asked["extract"]["batch_size"] = _BATCH
                    passage = await loom_passage(amqp, dsn, asked, count, pids, options.patience, COLUMNS)
    return passage.rate


if __name__ == "__main__":
    main()
