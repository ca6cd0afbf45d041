"""Runs Loom beside dlt on the same file, CSV into SQLite and CSV into Postgres, in turns.

Both are whole runs as their users start them from Python, timed from the call to its end: dlt extracts, normalizes and
loads in one call, Loom does so embedded, with its ledger, its lineage and its books. `make bench-peers` calls it."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from statistics import median

from bench import embedded, figures, reviews
from bench.peers import environments
from bench.result import BenchError, Passage
from loom_dev.backends import Postgres
from loom_dev.errors import SetupError


async def into_sqlite(source: Path, options: argparse.Namespace) -> dict[str, list[Passage]]:
    """Return the passages of Loom and of dlt, taken in turns. Raises `BenchError`."""

    async def timed(program: Sequence[str], settings: Sequence[str]) -> Passage:
        return await embedded.timed(program, source, options.records, settings, options.patience)

    return await _in_turns(timed, options)


async def into_postgres(source: Path, options: argparse.Namespace) -> dict[str, list[Passage]]:
    """Return the passages of Loom and of dlt, taken in turns, each into a database of its own. Raises `BenchError`."""
    postgres = Postgres(durable=True)
    postgres.start()

    async def timed(program: Sequence[str], settings: Sequence[str]) -> Passage:
        async with postgres.database() as dsn:
            return await embedded.timed_into_postgres(program, source, options.records, settings, dsn, options.patience)

    try:
        return await _in_turns(timed, options)
    finally:
        postgres.close()


async def _in_turns(
    timed: Callable[[Sequence[str], Sequence[str]], Awaitable[Passage]], options: argparse.Namespace
) -> dict[str, list[Passage]]:
    dlt = (environments.python_of("dlt"), str(environments.HERE / "dlt_table.py"))
    passages: dict[str, list[Passage]] = {"Loom": [], "dlt": []}
    for _ in range(options.rounds):
        passages["Loom"].append(await timed((sys.executable, "-m", "bench.embedded_run"), (str(options.batch),)))
        passages["dlt"].append(await timed(dlt, ()))
    return passages


_WAYS = {"SQLite": ("peers.dlt", into_sqlite), "Postgres": ("peers.dlt_postgres", into_postgres)}


def main() -> None:
    """Exit code 1 where the measurement is worth nothing, or less than asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=__doc__.partition("\n")[0])
    parser.add_argument("--records", type=int, default=100_000, help="rows of the CSV file (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=500, help="Loom's batch size (default: %(default)s)")
    parser.add_argument(
        "--least", type=float, default=0.0, help="fail where Loom's rate is a smaller multiple of dlt's"
    )
    parser.add_argument("--patience", type=float, default=180.0, help="seconds a single passage may take")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="loom-bench-") as folder:
        source = Path(folder, "reviews.csv")
        reviews.write(source, options.records)
        try:
            ratios = [_told(way, asyncio.run(measure(source, options)), options) for way, (_, measure) in _WAYS.items()]
        except (BenchError, SetupError) as error:
            sys.exit(f"peers: {error}")
    if min(ratios) < options.least:
        sys.exit(f"peers: {min(ratios):.2f} times; at least {options.least:g} was asked for")


def _told(way: str, results: dict[str, list[Passage]], options: argparse.Namespace) -> float:
    """Print what was measured, and return Loom's rate as a multiple of dlt's."""
    print(f"{options.records:,} rows, CSV into {way}, {options.rounds} rounds; Loom at batch {options.batch}")
    for name, passages in results.items():
        rate = median(each.rate for each in passages)
        cpu = median(each.cpu_seconds / each.records for each in passages) * 1e6
        print(f"{name:<6} {rate:>9,.0f} rows/s  {cpu:>6.1f} us CPU a row")
    ratio = median(loom.rate / dlt.rate for loom, dlt in zip(*results.values(), strict=True))
    print(f"Loom's rate is {ratio:.2f} times dlt's (median of the rounds)", flush=True)
    figures.keep(_WAYS[way][0], ratio, f"{options.records:,} rows")
    return ratio


if __name__ == "__main__":
    main()
