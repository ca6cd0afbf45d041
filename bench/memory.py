"""Measures what the services of a cluster hold of memory, for runs that grow: `python -m bench.memory`.

The same processes move 10,000 records, then 100,000, then 1,000,000, with every hop taken, so that each stage sees them
all. What a process ever held at most does not become less, so a long run cannot hide behind a short one: where memory
grew with the records, the last row would show it."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from bench import figures, reviews
from bench.distributed import cluster, loom_passage, servers
from bench.pipeline import DATABASE, definition
from bench.result import BenchError
from loom_dev.errors import SetupError
from loom_dev.process_memory import peak_memory


def main() -> None:
    """Exit code 1 where the measurement is worth nothing, or a service held more than it may."""
    parser = argparse.ArgumentParser(prog="python -m bench.memory", description=__doc__.partition(":")[0])
    parser.add_argument("--records", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--most", type=float, default=0.0, help="fail where a service held more MB than this")
    parser.add_argument("--patience", type=float, default=180.0, help="seconds a single passage may take")
    options = parser.parse_args()
    try:
        largest = asyncio.run(_measured(options))
    except (BenchError, SetupError) as error:
        sys.exit(f"bench: {error}")
    figures.keep("memory", largest, f"{options.records[-1]:,} records")
    if options.most and largest > options.most:
        sys.exit(f"bench: a service held {largest:.0f} MB; at most {options.most:g} were asked for")


async def _measured(options: argparse.Namespace) -> float:
    """Print what each service held at most by the end of each run. Return the most of all, in MB."""
    held: Mapping[str, float] = {}
    async for records, held in _peaks(options):
        if records == options.records[0]:
            print(f"MB at most, batches of {options.batch}, every hop taken")
            print(f"{'records':>12}" + "".join(f"{name:>13}" for name in held))
        print(f"{records:>12,}" + "".join(f"{peak:>13.0f}" for peak in held.values()), flush=True)
    return max(held.values())


async def _peaks(options: argparse.Namespace) -> AsyncIterator[tuple[int, Mapping[str, float]]]:
    """Give the number of records of each run and, after it, the most that each service has held."""
    with servers() as backends, tempfile.TemporaryDirectory(prefix="loom-bench-") as place:
        folder = Path(place)
        async with backends.postgres.database() as dsn:
            with backends.rabbitmq.vhost() as amqp:
                async with cluster(amqp, dsn, folder, every_hop=True) as pids:
                    for records in options.records:
                        source = folder / f"reviews_{records}.csv"
                        reviews.write(source, records)
                        asked = definition(str(source), f"{DATABASE}?table=loom_reviews", options.batch)
                        await loom_passage(amqp, dsn, asked, records, pids, options.patience)
                        yield records, {name: peak_memory(pid) for name, pid in pids.items()}


if __name__ == "__main__":
    main()
