"""Measures a job whose time is the model's: Loom embedded, beside a bare aiohttp script, as shares of what is possible.

100 calls of 200 ms in flight are at most 500 records a second. The model is simulated, in a process of its own on this
machine. `python -m bench.model_bound` prints a table; each passage is a fresh process in an empty folder."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path
from statistics import median

from bench import embedded, reviews
from bench.model_bound_pipeline import AT_ONCE, LATENCY
from bench.model_calls import model
from bench.result import BenchError, Passage

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


def share(passage: Passage) -> float:
    """Return the passage's rate as a share of what the calls in flight allow."""
    return passage.rate * LATENCY / AT_ONCE


def main() -> None:
    """Exit code 1 where the measurement is worth nothing, or less than asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench.model_bound", description=__doc__.partition("\n")[0])
    parser.add_argument("--records", type=int, default=10_000, help="of each passage (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each way")
    parser.add_argument("--least", type=float, default=0.0, help="fail where Loom's median share is lower")
    parser.add_argument("--patience", type=float, default=180.0, help="seconds a single passage may take")
    options = parser.parse_args()
    try:
        results = asyncio.run(measure(options.records, options.rounds, options.patience))
    except BenchError as error:
        sys.exit(f"model-bound: {error}")
    print(f"{options.records:,} records, {AT_ONCE} calls of {LATENCY * 1000:.0f} ms in flight, {options.rounds} rounds")
    for way, passages in results.items():
        cpu = median(each.cpu_seconds / each.records for each in passages) * 1000
        print(f"{way:<14} {median(map(share, passages)):.2f} of the ideal rate, {cpu:.2f} ms CPU a record")
    if (reached := median(map(share, results["embedded"]))) < options.least:
        sys.exit(f"model-bound: a share of {reached:.2f}; at least {options.least:g} was asked for")


if __name__ == "__main__":
    main()
