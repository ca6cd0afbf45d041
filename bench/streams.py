"""Measures how long a record of a stream takes from its arrival in a queue to its row, and what closed windows leave.

Messages are published to a queue of a private RabbitMQ at an even rate, each with the moment at which it was sent. A
reader of the destination notes when each row is there. Then many small windows are closed, and the memory, the rows of
run state and the time of a look at the stream are noted on the way. `python -m bench.streams` prints tables; `--most`
makes the first a test."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sqlite3
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import quantiles
from typing import Any

import aio_pika
import psutil
import uvloop

from bench import figures
from bench.cluster_streams import clustered, serving, taken_by
from bench.cpu import seconds as cpu_seconds
from bench.distributed import servers
from loom.project.config import LoomConfig
from loom.project.definition_file import load
from loom.session import Session, open_session
from loom.views import open_views
from loom_common.contracts.v1 import RunFinished, RunRequest
from loom_dev.backends import RabbitMQ, start_all

_QUEUE = "tickets"
_LOOK_SECONDS = 0.005
_LEAST = 0.01


@dataclass(frozen=True, slots=True)
class Latency:
    """Says what one wait came to."""

    wait: str
    records: int
    p50: float
    """The number of seconds; so is the next."""
    p99: float
    cpu: float
    """CPU seconds of all: the sender, the stream and the reader."""


@dataclass(frozen=True, slots=True)
class Left:
    """Says what so many closed windows have left."""

    windows: int
    rss: float
    """Holds the memory of the process in MiB."""
    rows: int
    """The rows of run state in all tables."""
    of_work: int
    """Counts the rows of batches, slices, partitions and totals."""
    kept: int
    """The pages that are kept of the source."""
    look: float
    """The seconds of a look at the stream."""


def definition(wait: str, records: int, queue: str = _QUEUE) -> dict[str, Any]:
    """Return the pipeline: rows as they come, without a model."""
    return {
        "name": "tickets",
        "mode": "streaming",
        "window": {"every": "1h", "records": records},
        "batch": {"size": 100, "wait": wait},
        "extract": {"source": f"${{BENCH_BROKER}}?queue={queue}", "key": "id"},
        "transform": {"type": "passthrough"},
        "load": {"destination": "sqlite:///out.db?table=t", "mode": "append"},
    }


def write(folder: Path, pipeline: dict[str, Any]) -> None:
    """Write a project of this pipeline."""
    folder.mkdir()
    (folder / "loom.yaml").write_text("{}\n")
    (folder / "pipeline.yaml").write_text(json.dumps(pipeline))


@asynccontextmanager
async def stream(
    folder: Path, pipeline: dict[str, Any], *, written: bool = False
) -> AsyncIterator[tuple[Session, str, LoomConfig]]:
    """Open the stream in this process, where it is not `written` yet after writing its project; pause it at the end."""
    if not written:
        write(folder, pipeline)
    config = LoomConfig.load(folder / "loom.yaml")
    loaded = load(folder / "pipeline.yaml")
    async with open_session(config, cluster=False) as session:
        request = RunRequest(definition=loaded.definition, files=loaded.files, base=config.base_of(loaded.folder))
        accepted = await session.begin(request)
        yield session, str(accepted.stream), config
        await session.pause(str(accepted.stream))


async def send(channel: Any, first: int, count: int, rate: float | None, queue: str = _QUEUE) -> None:
    """Publish so many messages, `rate` of them each second, or as fast as it goes."""
    begun = time.perf_counter()
    for number in range(first, first + count):
        if rate is not None and (ahead := begun + (number - first) / rate - time.perf_counter()) > _LEAST:
            await asyncio.sleep(ahead)
        body = json.dumps({"id": f"t{number}", "sent": time.time(), "customer": number % 100}).encode()
        message = aio_pika.Message(body, message_id=f"m{number}", content_type="application/json")
        await channel.default_exchange.publish(message, queue)


async def arrived(path: Path, count: int) -> list[float]:
    """Return the seconds that each of so many rows took, from when it was sent to when it was seen."""
    taken: list[float] = []
    last = 0
    while len(taken) < count:
        await asyncio.sleep(_LOOK_SECONDS)
        with suppress(sqlite3.OperationalError), closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            rows = database.execute("SELECT rowid, sent FROM t WHERE rowid > ?", (last,)).fetchall()
            now = time.time()
            taken += [now - float(sent) for _, sent in rows]
            last = max((rowid for rowid, _ in rows), default=last)
    return taken


async def latency(folder: Path, url: str, wait: str, rate: float, seconds: float) -> Latency:
    """Send records at an even rate, and note how long each takes. The first second does not count."""
    warm, count = int(rate), int(rate * seconds)
    async with await aio_pika.connect(url) as connection, await connection.channel() as channel:
        await (await channel.declare_queue(_QUEUE, durable=True)).purge()
        async with stream(folder, definition(wait, 10_000_000)):
            await send(channel, 0, warm, rate)
            await arrived(folder / "out.db", warm)
            before = cpu_seconds(psutil.Process().pid)
            _, taken = await asyncio.gather(send(channel, warm, count, rate), arrived(folder / "out.db", warm + count))
            cpu = cpu_seconds(psutil.Process().pid) - before
    cuts = quantiles(taken[warm:], n=100)
    return Latency(wait, count, cuts[49], cuts[98], cpu)


async def on_a_cluster(folder: Path, options: argparse.Namespace) -> AsyncIterator[tuple[Latency, dict[str, float]]]:
    """Yield what each wait comes to on a cluster, and the CPU seconds of its processes."""
    warm, count = int(options.rate), int(options.rate * options.seconds)
    with servers() as both:
        async with serving(both, folder, options.extractors) as place:
            for at, wait in enumerate(options.waits):
                queue = f"tickets_{at}"  # messages of one that was read before are known
                pipeline = clustered(definition(wait, 10_000_000, queue), queue)
                sending = partial(send, rate=options.rate, queue=queue)
                taken, used = await taken_by(place, pipeline, queue, sending, warm, count)
                cuts = quantiles(taken, n=100)
                yield Latency(wait, count, cuts[49], cuts[98], sum(used.values())), used


async def show_on_a_cluster(folder: Path, options: argparse.Namespace) -> list[str]:
    """Print the table, and return the waits that took too long."""
    late = []
    print("| batch.wait | records/s | p50 ms | p99 ms | CPU ms/record |\n|---|---|---|---|---|")
    async for one, used in on_a_cluster(folder, options):
        print(row(one, options.rate), flush=True)
        parts = ", ".join(f"{name} {1000 * each / one.records:.2f}" for name, each in used.items())
        print(f"  {parts}", file=sys.stderr)
        late += [one.wait] if options.most and one.p99 > options.most else []
    return late


def row(one: Latency, rate: float) -> str:
    """Return a row of the table."""
    cpu = 1000 * one.cpu / one.records
    return f"| {one.wait} | {rate:g} | {1000 * one.p50:.0f} | {1000 * one.p99:.0f} | {cpu:.2f} |"


async def windows(folder: Path, url: str, count: int, records: int, every: int) -> list[Left]:
    """Close so many windows, and note what is left each time that `every` of them are closed."""
    found: list[Left] = []
    async with await aio_pika.connect(url) as connection, await connection.channel() as channel:
        await (await channel.declare_queue(_QUEUE, durable=True)).purge()
        async with stream(folder, definition("20ms", records)) as (session, stream_id, config):
            sending = asyncio.create_task(send(channel, 0, count * records, None))
            closed = 0
            async for event in session.follow_stream(stream_id, 1):
                if not isinstance(event, RunFinished):
                    continue
                closed += 1
                if closed % every == 0:
                    found.append(await left(folder, config, stream_id, closed))
                if closed == count:
                    break
            await sending
    return found


async def left(folder: Path, config: LoomConfig, stream_id: str, closed: int) -> Left:
    """Note what there is now."""
    async with open_views(config) as views:
        await views.shown_stream(stream_id)
        begun = time.perf_counter()
        await views.shown_stream(stream_id)
        look = time.perf_counter() - begun
    counts = rows_of(folder / ".loom" / "loom.db")
    work = sum(counts.get(name, 0) for name in ("batches", "slices", "partitions", "run_totals"))
    kept = rows_of(folder / ".loom" / "journal.db").get("received_pages", 0)
    rss = psutil.Process().memory_info().rss / 2**20
    return Left(closed, rss, sum(counts.values()), work, kept, look)


def rows_of(path: Path) -> dict[str, int]:
    """Return the number of rows of each table."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as database:
        names = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: database.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in names}


@contextmanager
def broker() -> Iterator[str]:
    """Start a private RabbitMQ; end it."""
    rabbitmq = RabbitMQ()
    start_all(rabbitmq)
    try:
        with rabbitmq.vhost() as url:
            os.environ["BENCH_BROKER"] = url
            yield url
    finally:
        rabbitmq.close()


def main() -> None:
    """Exit code 1 where the 99th percentile is above what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench.streams", description=__doc__.partition("\n")[0])
    parser.add_argument("--waits", nargs="*", default=["20ms", "50ms", "100ms", "200ms", "500ms"])
    parser.add_argument("--rate", type=float, default=200.0, help="records a second (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long they are sent (default: %(default)s)")
    parser.add_argument("--windows", type=int, default=300, help="windows to be closed (default: %(default)s)")
    parser.add_argument("--records", type=int, default=100, help="records of each of them (default: %(default)s)")
    parser.add_argument("--most", type=float, help="fail where the 99th percentile of a wait is above so many seconds")
    parser.add_argument("--cluster", action="store_true", help="measure the waits on a cluster, and no windows")
    parser.add_argument("--extractors", type=int, default=1, help="of the cluster (default: %(default)s)")
    options = parser.parse_args()
    late = []
    if options.cluster:
        with tempfile.TemporaryDirectory(prefix="loom-bench-") as temporary:
            late = uvloop.run(show_on_a_cluster(Path(temporary) / "cluster", options))
        end(late, options.most)
        return
    with broker() as url, tempfile.TemporaryDirectory(prefix="loom-bench-") as temporary:
        print("| batch.wait | records/s | p50 ms | p99 ms | CPU ms/record |\n|---|---|---|---|---|")
        for wait in options.waits:
            one = uvloop.run(latency(Path(temporary) / wait, url, wait, options.rate, options.seconds))
            print(row(one, options.rate), flush=True)
            if f"streams.{wait}" in figures.FIGURES:
                figures.keep(f"streams.{wait}", 1000 * one.p99)
            late += [wait] if options.most and one.p99 > options.most else []
        if options.windows:
            print("\n| windows | RSS MiB | rows | of work | pages | look ms |\n|---|---|---|---|---|---|")
            every = max(1, options.windows // 6)
            for each in uvloop.run(windows(Path(temporary) / "windows", url, options.windows, options.records, every)):
                print(
                    f"| {each.windows} | {each.rss:.0f} | {each.rows} | {each.of_work} | {each.kept} | "
                    f"{1000 * each.look:.1f} |"
                )
    end(late, options.most)


def end(late: list[str], most: float | None) -> None:
    """Exit with 1 where waits took too long."""
    if late:
        sys.exit(f"streams: {', '.join(late)}: the 99th percentile is above {most:g} s")


if __name__ == "__main__":
    main()
