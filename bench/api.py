"""Measures how `loom serve` answers many clients at once, alone and beside a run, and how fast the run is meanwhile.

Each client asks for one page of the console or answer of the API after the other, without a pause. They share the
machine with what they ask. `python -m bench.api` prints a table."""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from bench import figures
from bench.result import BenchError

_PIPELINE = """name: numbers
extract: {source: records.csv, key: id, batch_size: 100}
transform: {type: passthrough}
load: {destination: "sqlite:///out.db?table=numbers", mode: upsert, key: [id]}
"""
_PATHS = (
    "/api/v1/runs", "/api/v1/runs/RUN", "/api/v1/runs/RUN/metrics", "/api/v1/pipelines", "/api/v1/quarantine",
    "/runs", "/runs/RUN", "/costs",
)  # fmt: skip
_START_SECONDS = 60.0


@dataclass(slots=True)
class Answers:
    """Holds how long answers took, in seconds, and which were none."""

    seconds: list[float] = field(default_factory=list)
    failed: int = 0

    def share(self, of: float) -> float:
        """Return the time within which a share of the answers came, in milliseconds."""
        ordered = sorted(self.seconds)
        return 1000 * ordered[min(len(ordered) - 1, int(of * len(ordered)))] if ordered else float("nan")


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "LOOM_API_REQUESTS_PER_MINUTE": "0"}


async def _run(folder: Path) -> float:
    """Run the pipeline in a process of its own, and return the seconds it took, its start included."""
    began = time.perf_counter()
    done = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "loom", "run", "pipeline.yaml", "--no-cache",
        cwd=folder, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    _, errors = await done.communicate()
    if done.returncode:
        raise BenchError(f"`loom run` failed: {errors.decode().strip()[-500:]}")
    return time.perf_counter() - began


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[str]:
    """Serve the project in a process of its own, and yield its address."""
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "loom", "serve", "--port", "0",
        cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        assert server.stdout is not None
        async with asyncio.timeout(_START_SECONDS):
            found = re.search(rb"http://\S+", await server.stdout.readline())
        if found is None:
            raise BenchError("`loom serve` did not say where it answers.")
        yield found[0].decode()
    finally:
        server.terminate()
        await server.wait()


async def _client(session: aiohttp.ClientSession, paths: Sequence[str], first: int, until: float, to: Answers) -> None:
    at = first
    while time.perf_counter() < until:
        began = time.perf_counter()
        async with session.get(paths[at % len(paths)]) as answer:
            await answer.read()
            to.failed += answer.status != 200
        to.seconds.append(time.perf_counter() - began)
        at += 1


async def _ask(address: str, clients: int, seconds: float) -> Answers:
    """Let clients ask for a while, and return how long the answers took."""
    answers = Answers()
    async with aiohttp.ClientSession(address, connector=aiohttp.TCPConnector(limit=0)) as session:
        async with session.get("/api/v1/runs") as listed:
            run_id = (await listed.json())["items"][0]["run_id"]
        paths = [each.replace("RUN", run_id) for each in _PATHS]
        until = time.perf_counter() + seconds
        await asyncio.gather(*(_client(session, paths, each, until, answers) for each in range(clients)))
    return answers


def _said(name: str, answers: Answers, seconds: float) -> str:
    times = " ".join(f"p{round(100 * each)} {answers.share(each):7.0f} ms " for each in (0.5, 0.95, 0.99))
    return f"{name:<24}{len(answers.seconds) / seconds:7.0f} answers/s  {times} {answers.failed} failed"


async def measure(clients: int, seconds: float, records: int) -> Answers:
    """Print what was measured, and return the answers of the API alone."""
    with tempfile.TemporaryDirectory(prefix="loom-bench-api-") as made:
        folder = Path(made)
        (folder / "pipeline.yaml").write_text(_PIPELINE, encoding="utf-8")
        rows = "".join(f"{number},{number * 7}\n" for number in range(records))
        (folder / "records.csv").write_text(f"id,n\n{rows}", encoding="utf-8")
        print(f"{clients} clients for {seconds:g} s, runs of {records:,} records; load {os.getloadavg()[0]:.1f}")
        alone = await _run(folder)
        async with served(folder) as address:
            quiet = await _ask(address, clients, seconds)
            print(_said("the API alone", quiet, seconds))
            running = asyncio.create_task(_run(folder))
            beside = await _ask(address, clients, seconds)
            print(_said("the API beside a run", beside, seconds))
            together = await running
        print(
            f"a run alone {records / alone:10,.0f} records/s; beside the clients {records / together:10,.0f} records/s"
        )
    return quiet


def main() -> int:
    """Measure, and fail where the API is slower than it may be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--most", type=float, help="Fail where p99 of the API alone is above so many milliseconds.")
    said = parser.parse_args()
    answers = asyncio.run(measure(said.clients, said.seconds, said.records))
    figures.keep("api.p99", answers.share(0.99), f"{said.clients} clients for {said.seconds:g} s")
    if answers.failed or (said.most is not None and answers.share(0.99) > said.most):
        print(f"The API did not answer every request within {said.most} ms.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
