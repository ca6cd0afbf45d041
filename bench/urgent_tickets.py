"""Measures how long an urgent support ticket waits for its answer, from the moment at which it is sent over HTTP.

It runs `examples/support_tickets/pipeline-http.yaml` as its README says: `loom run` works on the stream, and `loom
serve` takes the tickets. Every third ticket is urgent. The answer counts from when its row can be read in the table of
the pipeline. `python -m bench.urgent_tickets` prints a table; `--most` makes it a test."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from bench import figures
from bench.api import Answers, environment, served
from bench.result import BenchError

_EXAMPLE = Path(__file__).parents[1] / "examples" / "support_tickets"
_PLACE = "/api/v1/pipelines/support_desk/records"
_LOOK_SECONDS = 0.005
_START_SECONDS = 90.0
_END_SECONDS = 30.0


@dataclass(slots=True)
class Tickets:
    """Knows when each ticket was sent, and when its row was seen."""

    path: Path
    sent: dict[str, float] = field(default_factory=dict)
    taken: Answers = field(default_factory=Answers)
    """Holds how long the answers to the requests took."""
    urgent: Answers = field(default_factory=Answers)
    others: Answers = field(default_factory=Answers)
    _last: int = 0

    def look(self) -> None:
        """Note the rows that are new."""
        with (
            suppress(sqlite3.OperationalError),
            closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)) as there,
        ):
            rows = there.execute("SELECT rowid, ticket, answer FROM answered WHERE rowid > ?", (self._last,)).fetchall()
            now = time.perf_counter()
            for rowid, ticket, answer in rows:
                self._last = max(self._last, rowid)
                of = self.others if answer is None else self.urgent
                of.seconds.append(now - self.sent[ticket])

    @property
    def seen(self) -> int:
        """Return the number of rows that were seen."""
        return len(self.urgent.seconds) + len(self.others.seconds)


@asynccontextmanager
async def _working(folder: Path) -> AsyncIterator[None]:
    """Let `loom run` work on the stream, in a process of its own, which is ended by SIGINT as by Ctrl-C."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "loom", "run", "pipeline-http.yaml",
        cwd=folder, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield
    finally:
        if process.returncode is None:
            process.send_signal(2)
            await process.wait()


async def _send(client: aiohttp.ClientSession, address: str, tickets: Tickets, number: int) -> int:
    """Send a ticket, and return the status of the answer."""
    name = f"T-{number:06}"
    subject = "Site is down" if number % 3 == 0 else "How do I change my picture?"
    tickets.sent[name] = time.perf_counter()
    body = {"ticket": name, "subject": subject, "text": "It began this morning."}
    async with client.post(f"{address}{_PLACE}", json=body) as answer:
        await answer.read()
        tickets.taken.seconds.append(time.perf_counter() - tickets.sent[name])
        return answer.status


async def _taken(client: aiohttp.ClientSession, address: str, tickets: Tickets, number: int) -> None:
    """Send a ticket that has to be taken. Raises `BenchError`."""
    if (status := await _send(client, address, tickets, number)) != 202:
        raise BenchError(f"a ticket was answered HTTP {status}")


async def _until(tickets: Tickets, count: int, seconds: float) -> None:
    deadline = time.perf_counter() + seconds
    while tickets.seen < count:
        if time.perf_counter() > deadline:
            raise BenchError(f"{tickets.seen} of {count} tickets are answered after {seconds:g} s")
        tickets.look()
        await asyncio.sleep(_LOOK_SECONDS)


async def measured(options: argparse.Namespace) -> Tickets:
    """Send tickets at an even rate, and return how long they took. Those that are sent while the programs start do not
    count."""
    with tempfile.TemporaryDirectory(prefix="loom-bench-") as temporary:
        folder = Path(temporary) / "tickets"
        left = shutil.ignore_patterns(".loom", "*.db*")  # of whoever has tried the example there
        await asyncio.to_thread(shutil.copytree, _EXAMPLE, folder, ignore=left)
        tickets = Tickets(folder / "tickets.db")
        async with _working(folder), served(folder) as address, aiohttp.ClientSession() as client:
            warm, deadline = 0, time.perf_counter() + _START_SECONDS
            while await _send(client, address, tickets, warm) != 202:  # until `loom run` has written the pipeline down
                if time.perf_counter() > deadline:
                    raise BenchError(f"no ticket was taken within {_START_SECONDS:g} s")
                await asyncio.sleep(_LOOK_SECONDS)
            await _until(tickets, 1, _START_SECONDS)
            tickets.taken, tickets.urgent, tickets.others = Answers(), Answers(), Answers()
            count, began = int(options.rate * options.seconds), time.perf_counter()
            reading = asyncio.create_task(_until(tickets, count, options.seconds + _END_SECONDS))
            async with asyncio.TaskGroup() as sending:
                for number in range(1, count + 1):
                    if (ahead := began + number / options.rate - time.perf_counter()) > 0:
                        await asyncio.sleep(ahead)
                    sending.create_task(_taken(client, address, tickets, number))
            await reading
    return tickets


def main() -> None:
    """Exit code 1 where the 99th percentile is above what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench.urgent_tickets", description=__doc__.partition("\n")[0])
    parser.add_argument("--rate", type=float, default=5.0, help="tickets a second (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long they are sent (default: %(default)s)")
    parser.add_argument("--most", type=float, help="fail where the 99th percentile is above so many seconds")
    options = parser.parse_args()
    tickets = asyncio.run(measured(options))
    print("| tickets | sent | p50 ms | p95 ms | p99 ms | the slowest ms |\n|---|---|---|---|---|---|")
    parts = {"request answered": tickets.taken, "urgent": tickets.urgent, "others": tickets.others}
    for name, of in parts.items():
        shares = " | ".join(f"{of.share(each):.0f}" for each in (0.5, 0.95, 0.99, 1.0))
        print(f"| {name} | {len(of.seconds)} | {shares} |")
    figures.keep("urgent_tickets", tickets.urgent.share(0.99))
    if options.most and tickets.urgent.share(0.99) > 1000 * options.most:
        sys.exit(f"urgent_tickets: the 99th percentile is above {options.most:g} s")


if __name__ == "__main__":
    main()
