"""Keeps a stream on a cluster going through many windows while each service is killed with SIGKILL in turn, and the
broker and the database are restarted.

`python -m bench.cluster_endurance --windows 500 --rounds 2` runs the six services over a private RabbitMQ and a private
Postgres. Records come by a queue, pass a step and an evaluator, which keeps one in a hundred back, and go into a table.
It prints, along the way, how dear windows were, the memory of the services and the time of a look at the stream. At the
end it drains the stream, counts what is at the destination, in the load ledger and in the quarantine, and audits the
books of every window. Exit code 1 where a record is missing or double, the books differ, or, with `--most`, windows
became dearer with their number."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import aio_pika
import asyncpg

from bench import endurance
from bench.cpu import seconds as cpu_seconds
from bench.distributed import Servers, Services, servers, services
from bench.endurance import Look
from bench.pipeline import DATABASE
from bench.result import BenchError
from loom_dev.cluster.services import SERVICES
from loom_dev.waiting import INTERVAL
from loom_migrations.engine import open_engine

_NAME = "endurance"
_SERVERS = ("broker", "database")
_AHEAD = 20
"""Says how many windows of records may wait in the queue."""
_AT_ONCE = 200
_LOOK_SECONDS = 0.5
_END_SECONDS = 180.0
_KEPT = 100
"""One record in so many is kept back."""

_CODE = f"""
def graded(record):
    return {{"good": float(record["n"] % {_KEPT} != 0)}}
"""


def definition(records: int) -> dict[str, Any]:
    """Return the pipeline of the stream, whose windows close after `records` records. Each stage has something to
    do."""
    return {
        "name": _NAME,
        "mode": "streaming",
        "window": {"every": "1h", "records": records},
        "batch": {"size": records, "wait": "20ms"},
        "extract": {"source": f"${{BENCH_BROKER}}?queue={_NAME}", "key": "id"},
        "transform": {"type": "python", "function": "work:graded"},
        "evaluate": {
            "evaluators": [{"name": "good", "type": "range", "field": "good", "min": 1, "threshold": 1.0}],
            "quality_gate": "all_pass",
        },
        "load": {"destination": f"{DATABASE}?table={_NAME}", "mode": "append", "include": ["id"]},
    }


class Queue:
    """Puts records into the queue of the stream. A record whose arrival the broker has not confirmed is put again, by
    the same id, so that it arrives once in effect."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.put = 0

    async def fill(self, until: int) -> None:
        """Put records until so many are there. What the broker does not take now is left to the next time."""
        with contextlib.suppress(aio_pika.exceptions.AMQPError, OSError):
            async with await aio_pika.connect(self._url) as connection, await connection.channel() as channel:
                await channel.declare_queue(_NAME, durable=True)
                while self.put < until:
                    last = min(until, self.put + _AT_ONCE)
                    messages = [self._message(number) for number in range(self.put, last)]
                    await asyncio.gather(*(channel.default_exchange.publish(each, _NAME) for each in messages))
                    self.put = last

    @staticmethod
    def _message(number: int) -> aio_pika.Message:
        body = json.dumps({"id": f"r{number:09}", "n": number}).encode()
        mode = aio_pika.DeliveryMode.PERSISTENT
        return aio_pika.Message(body, message_id=f"m{number}", content_type="application/json", delivery_mode=mode)


class Endurance:
    """Runs the stream, breaks what it runs on, and notes what its windows cost."""

    def __init__(self, both: Servers, running: Services, amqp: str, dsn: str, folder: Path) -> None:
        self._both = both
        self._running = running
        self._amqp = amqp
        self._dsn = dsn
        self._folder = folder
        self._queue = Queue(amqp)
        self._before: dict[int, float] = {}
        self.faults = 0
        self.looks: list[Look] = []

    async def ask(self, query: str) -> Any:
        """Return the first row of an answer of the database; None where there is nothing to ask, or nobody."""
        try:
            connection = await asyncpg.connect(self._dsn)
        except (OSError, asyncpg.PostgresError):
            return None
        try:
            return await connection.fetchrow(query)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return None
        finally:
            connection.terminate()

    async def told(self, verb: str, body: dict[str, Any]) -> None:
        """Publish a command about the stream, such as `drain`, to the exchange of runs."""
        async with await aio_pika.connect(self._amqp) as connection, await connection.channel() as channel:
            runs = await channel.get_exchange("loom.runs", ensure=False)
            await runs.publish(aio_pika.Message(json.dumps(body).encode()), f"run.{verb}")

    async def ended(self) -> int:
        """Return how many windows have ended."""
        found = await self.ask("SELECT number FROM streams")
        return 0 if found is None else max(0, int(found[0]) - 1)

    async def break_one(self, name: str) -> None:
        """Kill a service, or restart a server, and wait until all serve again."""
        self.faults += 1
        if name in _SERVERS:
            server = self._both.rabbitmq if name == "broker" else self._both.postgres
            await asyncio.to_thread(server.restart)
        else:
            self._running.kill(name)
            self._running.start(name)
        await self._running.in_service()
        self._before = self._seconds()

    async def carry_out(self, options: argparse.Namespace) -> None:
        """Feed the stream until so many windows have ended, and break something at even distances."""
        await self._queue.fill(options.records)
        await self.told("request", {"definition": definition(options.records)})
        faults = options.rounds * options.broken
        between, every = options.windows / (len(faults) + 1), max(1, options.windows // options.looks)
        told, began, ends = 0, time.monotonic(), time.monotonic() + options.seconds
        self._before, used = self._seconds(), 0.0
        while (windows := await self.ended()) < options.windows and time.monotonic() < ends:
            await self._queue.fill(min(windows + _AHEAD, options.windows) * options.records)
            used += self._used()
            if self.faults < len(faults) and windows >= between * (self.faults + 1):
                await self.break_one(faults[self.faults])
            if windows >= told + every:
                self.looks.append(await self._look(windows, windows - told, time.monotonic() - began, used))
                print(self.looks[-1].row, flush=True)
                told, began, used = windows, time.monotonic(), 0.0
            await asyncio.sleep(_LOOK_SECONDS)

    async def drain(self) -> int:
        """Let the stream end after what has arrived, and return how many records were put. Raises `BenchError`."""
        found = await self.ask("SELECT stream_id FROM streams")
        if found is None:
            raise BenchError("the stream was not opened")
        await self.told("drain", {"run_id": found[0]})
        deadline = time.monotonic() + _END_SECONDS
        while (row := await self.ask("SELECT state FROM streams")) is None or row[0] != "drained" or await self._open():
            if time.monotonic() > deadline:
                raise BenchError(f"the stream has not ended within {_END_SECONDS:g} s")
            await asyncio.sleep(INTERVAL)
        return self._queue.put

    async def _open(self) -> bool:
        row = await self.ask("SELECT count(*) FROM pipeline_runs WHERE completed_at IS NULL")
        return row is None or bool(row[0])

    def _seconds(self) -> dict[int, float]:
        return {pid: cpu_seconds(pid) for pid in self._running.pids.values()}

    def _used(self) -> float:
        """Return the CPU seconds of the services since the last time. What a process needs to begin is not counted."""
        now = self._seconds()
        used = sum(spent - self._before[pid] for pid, spent in now.items() if pid in self._before)
        self._before = now
        return used

    async def _look(self, windows: int, count: int, elapsed: float, used: float) -> Look:
        size = await self.ask("SELECT pg_database_size(current_database())")
        return Look(
            windows=windows,
            kills=self.faults,
            seconds=elapsed / count,
            cpu=used / count,
            memory=endurance.memory(self._running.pids),
            look=await endurance.looked(self._folder, _NAME),
            size=int(size[0]) / 2**20,
        )


async def measured(options: argparse.Namespace) -> list[str]:
    """Print the table, and return what is wrong at the end."""
    with tempfile.TemporaryDirectory(prefix="loom-endurance-") as temporary, servers() as both:
        folder, client = Path(temporary) / "cluster", Path(temporary) / "client"
        for each in (folder, client):
            await asyncio.to_thread(each.mkdir)
        (folder / "work.py").write_text(_CODE)
        (client / "loom.yaml").write_text(
            "mode: distributed\nbus: {url: '${BENCH_BROKER}'}\nstorage: {type: postgres, url: '${BENCH_DATABASE}'}\n"
            "cache: {backend: postgres, url: '${BENCH_DATABASE}'}\n"
        )
        with both.rabbitmq.vhost() as amqp:
            async with both.postgres.database() as dsn:
                os.environ |= {"BENCH_BROKER": amqp, "BENCH_DATABASE": dsn}
                async with services(amqp, dsn, folder) as running:
                    stream = Endurance(both, running, amqp, dsn, client)
                    print(endurance.HEAD, flush=True)
                    await stream.carry_out(options)
                    records = await stream.drain()
                    wrong = await _differences(stream, dsn, records)
    if options.most:
        wrong += endurance.dearer(stream.looks, options.most)
    return wrong


async def _differences(stream: Endurance, dsn: str, records: int) -> list[str]:
    """Print what there is in the end, and return what differs."""
    kept = len(range(0, records, _KEPT))
    rows, different = await stream.ask(f"SELECT count(*), count(DISTINCT id) FROM {_NAME}")
    (ledger,) = await stream.ask("SELECT sum(loaded)::bigint FROM loom_load_ledger")
    (quarantined,) = await stream.ask("SELECT count(*) FROM quarantined_records")
    engine = open_engine(dsn, reads=True)
    try:
        async with engine.connect() as connection:
            windows, booked, wrong = await endurance.booked(connection, _NAME)
    finally:
        await engine.dispose()
    print(
        f"\n{records:,} records put, {rows:,} rows of {different:,} loaded, {ledger:,} in the load ledger, "
        f"{quarantined:,} in the quarantine, {booked:,} in the books of {windows:,} windows; {stream.faults} faults"
    )
    same = rows == different == ledger == records - kept and quarantined == kept and booked == records
    return wrong if same else ["records are missing or double", *wrong]


def main() -> None:
    """Exit code 1 where something is wrong."""
    parser = argparse.ArgumentParser(prog="python -m bench.cluster_endurance", description=__doc__.partition("\n")[0])
    parser.add_argument("--windows", type=int, default=500, help="windows to be closed (default: %(default)s)")
    parser.add_argument("--records", type=int, default=100, help="records of each of them (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=1800.0, help="at most so long (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=1, help="how often each is broken (default: %(default)s)")
    names = (*(each.name for each in SERVICES), *_SERVERS)
    parser.add_argument("--broken", nargs="*", choices=names, default=list(names), help="what (default: all, in turn)")
    parser.add_argument("--looks", type=int, default=10, help="rows of the table (default: %(default)s)")
    parser.add_argument("--most", type=float, help="fail where the last windows are so many times dearer")
    found = asyncio.run(measured(parser.parse_args()))
    if found:
        sys.exit("cluster_endurance: " + "; ".join(found[:5]))


if __name__ == "__main__":
    main()
