"""Measures how many requests of one record each `loom serve` takes in a second, and how long their answers take.

The records go to a stream over HTTP; nobody works on it, so that the times are those of the API alone. A request is
answered 202 once its record survives a power cut. First many clients send one request after the other without a pause,
then requests come at an even rate. `bench.bare_inbox` does the same beside it with as little as can be done.
`python -m bench.given_records` prints a table; `--least` and `--most` make it a test."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import uvloop

from bench import cpu, figures
from bench.api import Answers, environment
from bench.http_sender import Connection, posting
from bench.result import BenchError

_PIPELINE = """name: tickets
mode: streaming
window: {every: 1m}
extract: {source: "api://tickets", key: ticket, options: {backlog: 1000000}}
KEYS
transform: {type: passthrough}
load: {destination: "sqlite:///out.db?table=tickets", mode: upsert}
"""
_START_SECONDS = 60.0
_NUMBERS = count(1)


class Passage:
    """Holds what was measured of one server in one way."""

    def __init__(self, answers: Answers, seconds: float, used: float) -> None:
        self.answers = answers
        self.rate = len(answers.seconds) / seconds
        self.cpu = 1000 * used / max(1, len(answers.seconds))
        """The CPU of the server for each request, in milliseconds."""


@asynccontextmanager
async def _started(command: list[str], folder: Path) -> AsyncIterator[tuple[str, int]]:
    """Start a server, and yield its address and its process id."""
    server = await asyncio.create_subprocess_exec(
        sys.executable, *command, cwd=folder, env=environment(), stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        assert server.stdout is not None
        async with asyncio.timeout(_START_SECONDS):
            found = re.search(rb"http://(\S+)", await server.stdout.readline())
        if found is None:
            raise BenchError(f"`{' '.join(command)}` did not say where it answers.")
        yield found[1].decode(), server.pid
    finally:
        server.terminate()
        await server.wait()


def _ticket() -> bytes:
    return json.dumps({"ticket": f"T-{next(_NUMBERS):08}", "subject": "Site is down", "text": "Since today."}).encode()


async def _one(connection: Connection, make: Callable[[bytes], bytes], to: Answers, sent: float) -> None:
    """Send a request that is due at the moment `sent`, and note how long its answer takes from then."""
    to.failed += await connection.send(make(_ticket())) != 202
    to.seconds.append(time.perf_counter() - sent)


async def _closely(connections: list[Connection], make: Callable[[bytes], bytes], seconds: float) -> Answers:
    """Let each client send one request after the other."""
    answers, until = Answers(), time.perf_counter() + seconds

    async def client(connection: Connection) -> None:
        while (now := time.perf_counter()) < until:
            await _one(connection, make, answers, now)

    await asyncio.gather(*map(client, connections))
    return answers


async def _evenly(
    connections: list[Connection], make: Callable[[bytes], bytes], rate: float, seconds: float
) -> Answers:
    """Send requests at an even rate, each by a connection that has no other one under way."""
    answers, began = Answers(), time.perf_counter()
    free: asyncio.Queue[Connection] = asyncio.Queue()
    for each in connections:
        free.put_nowait(each)

    async def send(due: float) -> None:
        connection = await free.get()  # in turns, because the server closes one that is idle for seconds
        await _one(connection, make, answers, due)
        free.put_nowait(connection)

    async with asyncio.TaskGroup() as sending:
        for number in range(int(rate * seconds)):
            due = began + number / rate
            if (ahead := due - time.perf_counter()) > 0:
                await asyncio.sleep(ahead)
            sending.create_task(send(due))
    return answers


async def _measured(command: list[str], folder: Path, path: str, options: argparse.Namespace) -> list[Passage]:
    """Return what was measured of one server: clients without a pause, and requests at an even rate."""
    async with _started(command, folder) as (address, pid):
        place = urlsplit(f"http://{address}")
        make = posting(path, address, once=options.once)
        connections = [await Connection.opened(str(place.hostname), place.port or 80) for _ in range(options.clients)]
        await _closely(connections[:1], make, 1.0)  # what the first request has to load does not count
        passages = []
        for measure in (
            lambda: _closely(connections, make, options.seconds),
            lambda: _evenly(connections, make, options.rate, options.seconds),
        ):
            before, began = cpu.seconds(pid), time.perf_counter()
            answers = await measure()
            passages.append(Passage(answers, time.perf_counter() - began, cpu.seconds(pid) - before))
        for each in connections:
            each.close()
    return passages


async def measured(options: argparse.Namespace) -> dict[str, list[Passage]]:
    """Measure Loom and the bare server, one after the other."""
    with tempfile.TemporaryDirectory(prefix="loom-bench-") as made:
        folder = Path(made)
        (folder / "pipelines").mkdir()
        keys = "ingest: 24h" if options.keys else ""
        (folder / "pipelines" / "tickets.yaml").write_text(_PIPELINE.replace("KEYS", keys), encoding="utf-8")
        serve = ["-m", "loom", "serve", "--port", "0"]
        bare = [str(Path(__file__).with_name("bare_inbox.py")), str(folder / "bare.db")]
        return {
            "loom serve": await _measured(serve, folder, "/api/v1/pipelines/tickets/records", options),
            "the bare server": await _measured(bare, folder, "/", options),
        }


def main() -> None:
    """Print what was measured. Exit code 1 where it is worse than what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench.given_records", description=__doc__.partition("\n")[0])
    parser.add_argument("--clients", type=int, default=50, help="connections (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=200.0, help="requests a second, evenly (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement (default: %(default)s)")
    parser.add_argument("--keys", action="store_true", help="let the pipeline know records again by their key")
    parser.add_argument("--once", action="store_true", help="give each request an Idempotency-Key")
    parser.add_argument("--least", type=float, help="fail where fewer requests a second are taken")
    parser.add_argument("--most", type=float, help="fail where the 99th percentile at that rate is above so many ms")
    options = parser.parse_args()
    print(f"{options.clients} clients, {options.seconds:g} s each; load {os.getloadavg()[0]:.1f}")
    found = uvloop.run(measured(options))
    print(
        "| server | requests | taken a second | CPU ms each | p50 ms | p99 ms | failed |",
        "|---|---|---|---|---|---|---|",
        sep="\n",
    )
    for server, passages in found.items():
        for name, each in zip(("without a pause", f"{options.rate:g} a second"), passages, strict=True):
            times = " | ".join(f"{each.answers.share(part):.1f}" for part in (0.5, 0.99))
            print(f"| {server} | {name} | {each.rate:.0f} | {each.cpu:.2f} | {times} | {each.answers.failed} |")
    closely, evenly = found["loom serve"]
    share = closely.rate / found["the bare server"][0].rate
    print(f"loom serve takes {share:.2f} of what the bare server takes")
    of = ", ".join(
        words
        for words, said in (("known again by their key", options.keys), ("each with an Idempotency-Key", options.once))
        if said
    )
    figures.keep("given_records", closely.rate, of)
    figures.keep("given_records.share", share, of)
    figures.keep("given_records.p99", evenly.answers.share(0.99), of)
    if closely.answers.failed or evenly.answers.failed:
        sys.exit("given_records: requests were not answered 202")
    if options.least and closely.rate < options.least:
        sys.exit(f"given_records: fewer than {options.least:g} requests a second were taken")
    if options.most and evenly.answers.share(0.99) > options.most:
        sys.exit(f"given_records: the 99th percentile is above {options.most:g} ms")


if __name__ == "__main__":
    main()
