"""Runs Loom beside dlt on the same file, CSV into SQLite, in turns.

Both are whole runs as their users start them from Python, timed from the call to its end: dlt extracts, normalizes and
loads in one call, Loom does the same with its ledger, its lineage and its books. `make bench-peers` calls it."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path
from statistics import median

from bench import embedded, figures, reviews
from bench.peers import environments
from bench.result import BenchError, Passage


async def measure(records: int, rounds: int, batch_size: int, patience: float) -> dict[str, list[Passage]]:
    """Return the passages of Loom and of dlt, taken in turns. Raises `BenchError`."""
    dlt = environments.python_of("dlt")
    passages: dict[str, list[Passage]] = {"Loom": [], "dlt": []}
    with tempfile.TemporaryDirectory(prefix="loom-bench-") as folder:
        source = Path(folder, "reviews.csv")
        reviews.write(source, records)
        for _ in range(rounds):
            ours = embedded.passage("bench.embedded_run", source, records, batch_size, patience)
            passages["Loom"].append(await ours)
            script = str(environments.HERE / "dlt_sqlite.py")
            passages["dlt"].append(await embedded.timed([dlt, script], source, records, (), patience))
    return passages


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
    try:
        results = asyncio.run(measure(options.records, options.rounds, options.batch, options.patience))
    except BenchError as error:
        sys.exit(f"peers: {error}")
    print(f"{options.records:,} rows, CSV into SQLite, {options.rounds} rounds; Loom at batch {options.batch}")
    for name, passages in results.items():
        rate = median(each.rate for each in passages)
        cpu = median(each.cpu_seconds / each.records for each in passages) * 1e6
        print(f"{name:<6} {rate:>9,.0f} rows/s  {cpu:>6.1f} us CPU a row")
    ratio = median(loom.rate / dlt.rate for loom, dlt in zip(*results.values(), strict=True))
    print(f"Loom's rate is {ratio:.2f} times dlt's (median of the rounds)")
    figures.keep("peers.dlt", ratio, f"{options.records:,} rows")
    if ratio < options.least:
        sys.exit(f"peers: {ratio:.2f} times; at least {options.least:g} was asked for")


if __name__ == "__main__":
    main()
