"""Runs the job whose time is the model's by Loom and by other programs, in turns, on the same input.

The others are Celery on RabbitMQ, Curator, DocETL and LOTUS. Each asks the simulated model with 100 calls of 200 ms in
flight, and inserts what it answers into SQLite. Loom is embedded, with its gate, journal, ledger and books; Celery has
a worker of 100 threads and a task for each record, which may be carried out twice; the others hold their rows in memory
until all are answered. `make bench-peers` calls it."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path
from statistics import median

from bench import embedded, figures, reviews
from bench.model_bound_pipeline import LATENCY
from bench.model_calls import model
from bench.peers import environments
from bench.result import BenchError, Passage
from loom_dev.backends import RabbitMQ

_OURS = "Loom"
PEERS = ("celery", "curator", "docetl", "lotus")


async def measure(peers: list[str], records: int, rounds: int, patience: float) -> dict[str, list[Passage]]:
    """Return the passages of Loom and of the peers, taken in turns. Raises `BenchError`."""
    passages: dict[str, list[Passage]] = {name: [] for name in (_OURS, *peers)}
    pythons = {peer: environments.python_of(peer) for peer in peers}
    broker = RabbitMQ()
    if "celery" in peers:
        broker.start()
    try:
        with tempfile.TemporaryDirectory(prefix="loom-bench-") as folder:
            source = Path(folder, "reviews.csv")
            reviews.write(source, records)
            for _ in range(rounds):
                for name, found in passages.items():
                    with model(f"{LATENCY:g}s") as base_url:  # one of its own, so that no answer is known
                        found.append(await _passage(name, pythons, source, records, base_url, broker, patience))
    finally:
        broker.close()
    return passages


async def _passage(
    name: str,
    pythons: dict[str, str],
    source: Path,
    records: int,
    base_url: str,
    broker: RabbitMQ,
    patience: float,
) -> Passage:
    if name == _OURS:
        return await embedded.passage("bench.model_bound_run", source, records, base_url, patience)
    program = [pythons[name], str(environments.HERE / f"{name}_model.py")]
    if name != "celery":
        return await embedded.timed(program, source, records, (base_url,), patience)
    with broker.vhost() as amqp:
        return await embedded.timed(program, source, records, (base_url, amqp), patience)


def main() -> None:
    """Exit code 1 where the measurement is worth nothing."""
    parser = argparse.ArgumentParser(prog="python -m bench.peers.model_bound", description=__doc__.partition("\n")[0])
    parser.add_argument("--records", type=int, default=2_000, help="of each passage (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each (default: %(default)s)")
    parser.add_argument("--peers", nargs="+", default=list(PEERS), choices=PEERS)
    parser.add_argument("--patience", type=float, default=300.0, help="seconds a single passage may take")
    options = parser.parse_args()
    try:
        results = asyncio.run(measure(options.peers, options.records, options.rounds, options.patience))
    except BenchError as error:
        sys.exit(f"peers: {error}")
    print(f"{options.records:,} records, 100 calls of {LATENCY * 1000:.0f} ms in flight, {options.rounds} rounds")
    for name, passages in results.items():
        cpu = median(each.cpu_seconds / each.records for each in passages) * 1000
        print(f"{name:<8} {median(each.rate for each in passages):>7,.0f} records/s  {cpu:>6.2f} ms CPU a record")
    for peer in options.peers:
        both = zip(results[_OURS], results[peer], strict=True)
        ratio = median(ours.rate / theirs.rate for ours, theirs in both)
        figures.keep(f"peers.{peer}", ratio, f"{options.records:,} records")
        print(f"Loom's rate is {ratio:.2f} times that of {peer} (median of the rounds)")


if __name__ == "__main__":
    main()
