"""Measures a job whose time is the model's: Loom beside a bare aiohttp script, as shares of what is possible.

100 calls of 200 ms in flight are at most 500 records a second. The model is simulated, in a process of its own on this
machine. `python -m bench.model_bound` prints a table. Each passage of Loom embedded and of the script is a fresh
process in an empty folder. With `--cluster` Loom is also measured over RabbitMQ into Postgres, with one replica of each
service, after a small run that does not count."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path
from statistics import median

from bench import embedded, figures, report, reviews
from bench.distributed import cluster, loom_passage, servers
from bench.model_bound_pipeline import AT_ONCE, COLUMNS, LATENCY, definition
from bench.model_calls import model
from bench.pipeline import DATABASE
from bench.result import BenchError, Passage
from loom_dev.errors import SetupError

_WARM_UP = 200
_FIGURES = {
    "embedded": "model_bound.embedded",
    "bare aiohttp": "model_bound.bare",
    "RabbitMQ": "model_bound.cluster",
}
_WAYS = {"embedded": "bench.model_bound_run", "bare aiohttp": "bench.bare_model"}


async def measure(records: int, rounds: int, patience: float) -> dict[str, list[Passage]]:
    """Return the passages of each way, taken in turns. Raises `BenchError`."""
    passages: dict[str, list[Passage]] = {way: [] for way in _WAYS}
    with tempfile.TemporaryDirectory(prefix="loom-bench-") as folder, model(f"{LATENCY:g}s") as base_url:
        source = Path(folder, "reviews.csv")
        reviews.write(source, records)
        for _ in range(rounds):
            for way, module in _WAYS.items():
                passages[way].append(await embedded.passage(module, source, records, base_url, patience))
    return passages


async def measure_cluster(records: int, rounds: int, patience: float) -> list[Passage]:
    """Return the passages over RabbitMQ into Postgres. Raises `BenchError`."""
    destination = f"{DATABASE}?table=loom_reviews"
    with tempfile.TemporaryDirectory(prefix="loom-bench-") as temporary, servers() as backends:
        folder = Path(temporary)
        async with backends.postgres.database() as dsn:
            with backends.rabbitmq.vhost() as amqp:
                async with cluster(amqp, dsn, folder, every_hop=False) as services:
                    passages = []
                    for number, count in enumerate([_WARM_UP, *[records] * rounds]):
                        source = folder / f"reviews_{number}.csv"
                        reviews.write(source, count)
                        with model(f"{LATENCY:g}s") as base_url:  # one of its own, so that no answer is known
                            asked = definition(str(source), destination, base_url)
                            pids = {**services, **backends.pids}
                            passages.append(await loom_passage(amqp, dsn, asked, count, pids, patience, COLUMNS))
                    return passages[1:]


def share(passage: Passage) -> float:
    """Return the passage's rate as a share of what the calls in flight allow."""
    return passage.rate * LATENCY / AT_ONCE


def main() -> None:
    """Exit code 1 where the measurement is worth nothing, or less than asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench.model_bound", description=__doc__.partition("\n")[0])
    parser.add_argument("--records", type=int, default=10_000, help="of each passage (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each way")
    parser.add_argument(
        "--least", type=float, default=0.0, help="fail where Loom's median rate is a smaller part of the script's"
    )
    parser.add_argument("--patience", type=float, default=180.0, help="seconds a single passage may take")
    parser.add_argument("--cluster", action="store_true", help="measure a cluster, too")
    options = parser.parse_args()
    try:
        results = asyncio.run(measure(options.records, options.rounds, options.patience))
        if options.cluster:
            results["RabbitMQ"] = asyncio.run(measure_cluster(options.records, options.rounds, options.patience))
    except (BenchError, SetupError) as error:
        sys.exit(f"model-bound: {error}")
    print(f"{options.records:,} records, {AT_ONCE} calls of {LATENCY * 1000:.0f} ms in flight, {options.rounds} rounds")
    for way, passages in results.items():
        cpu = median(each.cpu_seconds / each.records for each in passages) * 1000
        print(f"{way:<14} {median(map(share, passages)):.2f} of the ideal rate, {cpu:.2f} ms CPU a record")
        figures.keep(_FIGURES[way], median(map(share, passages)), f"{options.records:,} records")
        if way == "embedded":
            figures.keep("model_bound.cpu", cpu, f"{options.records:,} records")
    if options.cluster:
        print(f"CPU us/rec of the cluster by process: {report.by_process(results['RabbitMQ'])}")
    reached = median(map(share, results["embedded"])) / median(map(share, results["bare aiohttp"]))
    if reached < options.least:
        sys.exit(f"model-bound: {reached:.2f} of the bare script's rate; at least {options.least:g} was asked for")


if __name__ == "__main__":
    main()
