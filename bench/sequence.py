"""Measures what it costs that records of one key stay in sequence (`order_by`): the same stream with it and without it,
one after the other and several times, as `bench.streams` runs it.

Records of 100 customers come to a queue. First they come at an even rate, and the time of each from its message to its
row is noted; then many wait in the queue, and it is noted how fast they are loaded. This is done without a transform,
and with one that waits 100 ms for each record, as for a model. `python -m bench.sequence` prints a table."""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, quantiles
from typing import Any

import aio_pika
import uvloop

from bench import figures
from bench.streams import arrived, broker, definition, send, stream, write

_WAITING = """
import asyncio

async def wait(record):
    await asyncio.sleep(0.1)
    return {"sent": record["sent"]}
"""
TRANSFORMS: Mapping[str, Mapping[str, Any]] = {
    "none": {"type": "passthrough"},
    "100 ms a record": {"type": "python", "function": "waiting:wait"},
}


@dataclass(frozen=True, slots=True)
class Measured:
    """Says what one stream came to."""

    p50: float
    """The number of seconds from a message to its row; so is the next."""
    p99: float
    rate: float
    """The records that were loaded a second while many waited."""


async def measured(folder: Path, url: str, sections: Mapping[str, Any], options: argparse.Namespace) -> Measured:
    """Run one stream. The first second does not count."""
    warm, even = int(options.rate), int(options.rate * options.seconds)
    queue = folder.name
    pipeline = {**definition("50ms", 10_000_000, queue), **sections}
    pipeline["extract"]["options"] = {"prefetch": options.prefetch}
    async with await aio_pika.connect(url) as connection, await connection.channel() as channel:
        await channel.declare_queue(queue, durable=True)
        write(folder, pipeline)
        (folder / "waiting.py").write_text(_WAITING)
        async with stream(folder, pipeline, written=True):
            table = folder / "out.db"
            _, taken = await asyncio.gather(
                send(channel, 0, warm + even, options.rate, queue), arrived(table, warm + even)
            )
        await send(channel, warm + even, options.waiting, None, queue)
        async with stream(folder, pipeline, written=True):
            await arrived(table, warm + even + 1)
            begun = time.perf_counter()
            await arrived(table, warm + even + options.waiting)
            took = time.perf_counter() - begun
    cuts = quantiles(taken[warm:], n=100)
    return Measured(cuts[49], cuts[98], options.waiting / took)


def rounds(place: Path, url: str, options: argparse.Namespace) -> Iterator[tuple[str, bool, Measured]]:
    """Yield what each stream comes to, by its transform and by whether its records are in sequence: all of them once in
    each round, so that what else the machine does meets each alike."""
    for number in range(options.rounds):
        for at, (name, transform) in enumerate(TRANSFORMS.items()):
            for ordered in (False, True):
                sections = {"transform": dict(transform), **({"order_by": "customer"} if ordered else {})}
                folder = place / f"q{number}{at}{int(ordered)}"
                yield name, ordered, uvloop.run(measured(folder, url, sections, options))


def main() -> None:
    """Print the table: the mean of all rounds."""
    parser = argparse.ArgumentParser(prog="python -m bench.sequence", description=__doc__.partition("\n")[0])
    parser.add_argument("--rate", type=float, default=200.0, help="records a second (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=8.0, help="how long they are sent (default: %(default)s)")
    parser.add_argument("--waiting", type=int, default=4000, help="records that wait then (default: %(default)s)")
    parser.add_argument("--prefetch", type=int, default=2000, help="of the source (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=2, help="(default: %(default)s)")
    options = parser.parse_args()
    found: dict[tuple[str, bool], list[Measured]] = {}
    with broker() as url, tempfile.TemporaryDirectory(prefix="loom-bench-") as temporary:
        for name, ordered, one in rounds(Path(temporary), url, options):
            found.setdefault((name, ordered), []).append(one)
    print("| transform | `order_by` | p50 ms | p99 ms | records/s of those that wait |\n|---|---|---|---|---|")
    for (name, ordered), all_of_it in found.items():
        p50, p99 = (1000 * fmean(each) for each in zip(*[(one.p50, one.p99) for one in all_of_it], strict=True))
        rate = fmean(one.rate for one in all_of_it)
        print(f"| {name} | {'customer' if ordered else 'none'} | {p50:.0f} | {p99:.0f} | {rate:.0f} |")
    plain, ordered_rates = ([one.rate for one in found["none", ordered]] for ordered in (False, True))
    figures.keep("sequence", fmean(ordered_rates) / fmean(plain))


if __name__ == "__main__":
    main()
