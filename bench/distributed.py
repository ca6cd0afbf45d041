"""Runs Loom as a cluster of its own: a broker, a database and the six services, for as long as the bench runs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import aio_pika
import asyncpg

from bench.cpu import Meter
from bench.result import BenchError, Passage
from bench.reviews import COLUMNS
from loom_dev.backends import Postgres, RabbitMQ, start_all
from loom_dev.backends.parent_watchdog import end_with
from loom_dev.cluster.services import SERVICES, missing
from loom_dev.waiting import INTERVAL

_REVIEWS = ", ".join(f"{name} TEXT" for name in COLUMNS)
_UP_SECONDS = 60.0
_END_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Servers:
    """Runs the private broker and database."""

    rabbitmq: RabbitMQ
    postgres: Postgres

    @property
    def pids(self) -> dict[str, int]:
        """Return the pids for measuring."""
        return {"broker": self.rabbitmq.pid, "database": self.postgres.pid}


@contextmanager
def servers() -> Iterator[Servers]:
    """Start both; end both, and leave nothing behind. The database flushes its log, as one in use does."""
    rabbitmq, postgres = RabbitMQ(), Postgres(durable=True)
    start_all(rabbitmq, postgres)
    try:
        yield Servers(rabbitmq, postgres)
    finally:
        rabbitmq.close()
        postgres.close()


class Services:
    """Runs the six services, each a process of its own, to be used, killed and started again."""

    def __init__(self, amqp: str, environment: Mapping[str, str], folder: Path) -> None:
        self._amqp = amqp
        self._environment = environment
        self._folder = folder
        self._running = contextlib.ExitStack()
        self._started: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        """Start a service that does not run."""
        self._started[name] = self._running.enter_context(_process(name, self._environment, self._folder))

    def kill(self, name: str) -> None:
        """Send SIGKILL, as a crash or the kernel's memory killer would."""
        self._started[name].kill()
        self._started[name].wait()

    @property
    def pids(self) -> dict[str, int]:
        """Return the process ids of the services, by the name of each service."""
        return {name: process.pid for name, process in self._started.items()}

    async def in_service(self) -> None:
        """Wait until all consume. Raises `BenchError`."""
        await _in_service(self._amqp, self._started)

    def close(self) -> None:
        """End those that run, by their pids."""
        self._running.close()


@asynccontextmanager
async def cluster(
    amqp: str, dsn: str, folder: Path, *, every_hop: bool, extractors: int = 1, transformers: int = 1
) -> AsyncIterator[dict[str, int]]:
    """Start the six services, several `extractors` and `transformers` of them, and wait until they are ready; give
    their pids by name. Ended by pid. With `every_hop` a batch also visits stages that have nothing to do. Raises
    `BenchError`."""
    more = {"extractor": extractors, "transformer": transformers}
    async with services(amqp, dsn, folder, every_hop=every_hop, replicas=more) as running:
        yield running.pids


@asynccontextmanager
async def services(
    amqp: str, dsn: str, folder: Path, *, every_hop: bool = False, replicas: Mapping[str, int] | None = None
) -> AsyncIterator[Services]:
    """Do the same, with as many `replicas` of the services named, and give what runs them."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("LOOM_")},
        "LOOM_BUS_URL": amqp,
        "LOOM_STATE_URL": dsn,
        "LOOM_PAYLOADS_URL": dsn,
        "LOOM_JOURNAL_URL": dsn,
        "LOOM_PROJECT_DIR": str(folder),
        "LOOM_LOG_LEVEL": "warning",
        "LOOM_EVERY_HOP": str(every_hop),
        "PYTHONPATH": str(Path(__file__).parents[1]),  # a source of the bench is a plugin
        "BENCH_DATABASE": dsn,  # a definition names no password, only where it is found
    }
    for step in (("db", "upgrade"), ("topology", "apply")):
        command = [sys.executable, "-m", "loom_coordinator", *step]
        await asyncio.to_thread(subprocess.run, command, env=environment, check=True, stdout=subprocess.DEVNULL)
    running = Services(amqp, environment, folder)
    try:
        for name in (each.name for each in SERVICES):
            running.start(name)
        for name, number in (replicas or {}).items():
            for at in range(2, number + 1):
                running.start(f"{name}.{at}")
        await running.in_service()
        yield running
    finally:
        running.close()


async def _in_service(amqp: str, started: Mapping[str, subprocess.Popen[bytes]]) -> None:
    deadline = time.monotonic() + _UP_SECONDS
    wanted = Counter(name.partition(".")[0] for name in started)
    while away := await missing(amqp, wanted):
        fallen = [name for name in away if started[name].poll() is not None]
        if fallen or time.monotonic() > deadline:
            raise BenchError(f"not in service: {', '.join(fallen or away)}")
        await asyncio.sleep(INTERVAL)


@contextmanager
def _process(name: str, environment: Mapping[str, str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", f"loom_{name.partition('.')[0]}"]
    process = subprocess.Popen(
        command,
        env=environment,
        cwd=folder,
        preexec_fn=partial(end_with, os.getpid()),  # noqa: PLW1509 - a bench that is killed leaves no cluster behind
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


async def loom_passage(
    amqp: str,
    dsn: str,
    definition: Mapping[str, Any],
    records: int,
    pids: Mapping[str, int],
    patience: float,
    columns: str = _REVIEWS,
) -> Passage:
    """Measure one run into the table `loom_reviews` of these columns, from the publishing of its request to
    `run.finished`; and, as its rows tell, how long records were moved meanwhile. Raises `BenchError`."""
    async with _emptied(dsn, "loom_reviews", columns), await aio_pika.connect(amqp) as connection:
        channel = await connection.channel()
        ends = await channel.declare_queue(exclusive=True)
        await ends.bind("loom.events", "run.finished.*")
        runs = await channel.get_exchange("loom.runs", ensure=False)
        request = json.dumps({"definition": definition}).encode()
        meter, began = Meter(pids), time.perf_counter()
        await runs.publish(aio_pika.Message(request, reply_to=ends.name), "run.request")
        try:
            report = await asyncio.wait_for(_report(ends), patience)
        except TimeoutError:
            raise BenchError(f"no run.finished within {patience:.0f} s") from None
        seconds = time.perf_counter() - began
        used, machine = meter.used(), meter.machine()
        if report["status"] != "succeeded":
            raise BenchError(f"the run ended {report['status']}: {report['error']}")
        await _see_that_all_are_there(dsn, "loom_reviews", records)
    return Passage(records, seconds, used, machine, await _moving(dsn, report["run_id"]))


async def _moving(dsn: str, run_id: str) -> float:
    """Return the seconds from the request for the first slice of a run to the fact about its last batch."""
    connection = await asyncpg.connect(dsn)
    try:
        seconds = await connection.fetchval(
            "SELECT extract(epoch FROM (SELECT max(updated_at) FROM batches WHERE run_id = $1)"
            " - (SELECT min(issued_at) FROM slices WHERE run_id = $1 AND slice >= 0))::float8",
            run_id,
        )
    finally:
        await connection.close()
    return float(seconds)


async def _report(ends: aio_pika.abc.AbstractQueue) -> dict[str, Any]:
    async with ends.iterator() as messages:
        async for message in messages:
            body = json.loads(message.body)
            if message.type == "loom.run.rejected.v1":
                raise BenchError(f"the request was rejected: {body['error']}")
            if message.type == "loom.run.finished.v1":
                report: dict[str, Any] = body["report"]
                return report
    raise BenchError("the broker ended the subscription")


async def bare_passage(
    amqp: str, dsn: str, source: str, records: int, batch_size: int, pids: Mapping[str, int], patience: float
) -> Passage:
    """Measure the same file through the bare loop, in a process of its own. Raises `BenchError`."""
    async with _emptied(dsn, "bare_reviews", _REVIEWS):
        meter = Meter(pids)
        words = [sys.executable, "-m", "bench.bare_rabbitmq", amqp, dsn, source, "bare_reviews", str(batch_size)]
        process = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.PIPE)
        try:
            output, _ = await asyncio.wait_for(process.communicate(), patience)
        except TimeoutError:
            process.kill()
            await process.wait()
            raise BenchError(f"the bare loop did not end within {patience:.0f} s at batch {batch_size}") from None
        if process.returncode:
            raise BenchError("the bare loop failed")
        measured = json.loads(output)
        used = {**meter.used(), "loop": measured["cpu"]}
        await _see_that_all_are_there(dsn, "bare_reviews", records)
    return Passage(records, measured["seconds"], used)


@asynccontextmanager
async def _emptied(dsn: str, table: str, columns: str) -> AsyncIterator[None]:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(f"CREATE TABLE IF NOT EXISTS {table} ({columns})")
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS bare_ledger (run_id TEXT, batch_id TEXT, PRIMARY KEY (run_id, batch_id))"
        )
        await connection.execute(f"TRUNCATE {table}")
        await connection.execute("CHECKPOINT")  # so that neither side pays for what the other wrote
        yield
    finally:
        await connection.close()


async def _see_that_all_are_there(dsn: str, table: str, records: int) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        found = await connection.fetchrow(f"SELECT count(*), count(DISTINCT id) FROM {table}")
    finally:
        await connection.close()
    if tuple(found) != (records, records):
        raise BenchError(f"{table} holds {found[0]} rows of {found[1]} records, not {records}")
