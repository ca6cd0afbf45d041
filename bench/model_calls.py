"""Measures what a model call costs this process in CPU, all in, beside the same call by a bare aiohttp loop.

All in: key, journal, limits, concurrency, breaker, HTTP, parsing, validation, price, account. The server is another
process, so that only the client is counted. `python -m bench.model_calls` prints a table."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from statistics import median

import aiohttp
import orjson
import uvloop

from bench import figures
from loom_ai.answers.shape import Shape
from loom_ai.answers.structured_output import ask
from loom_ai.compose import open_models
from loom_ai.ports import ChatMessage, ModelCall, Payer
from loom_ai.settings import ModelSettings
from loom_ai.stores.beside_journal import open_buckets, open_claims, open_journal
from loom_common.domain.model_options.providers import RateLimit
from loom_common.interpreter.garbage import collect_less
from loom_common.worker.usage import Usage
from loom_dev.backends import Redis
from loom_migrations.upgrade import upgrade_all

AT_ONCE = 100
SHAPE = Shape({"sentiment": {"enum": ["good", "bad"]}, "confidence": {"type": "number", "minimum": 0, "maximum": 1}})
LIMIT = RateLimit(requests_per_minute=1_000_000, tokens_per_minute=1_000_000_000)


def question(number: int) -> str:
    """Make a prompt of a usual length, different for each."""
    words = "The parcel came late and the box was torn, but the kettle works and looks good on the shelf. " * 6
    return f"Classify the sentiment of review {number}: {words}"


async def in_turns(work: Callable[[int], Awaitable[None]], count: int) -> tuple[float, float]:
    """Return CPU milliseconds a call, and calls a second, with `AT_ONCE` in flight."""
    numbers = iter(range(count))

    async def worker() -> None:
        for number in numbers:
            await work(number)

    began, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))
    return (time.process_time() - cpu) / count * 1000, count / (time.perf_counter() - began)


async def bare(base_url: str, count: int, start: int) -> tuple[float, float]:
    """Post, read, parse."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=AT_ONCE)) as session:

        async def work(number: int) -> None:
            body = {
                "model": "gpt-4o-mini",
                "messages": [{"role": "user", "content": question(start + number)}],
                "response_format": {"type": "json_schema", "json_schema": {"name": "o", "schema": SHAPE.schema}},
            }
            async with session.post(f"{base_url}/chat/completions", data=orjson.dumps(body)) as response:
                answer = orjson.loads(await response.read())
            orjson.loads(answer["choices"][0]["message"]["content"])

        return await in_turns(work, count)


async def loom(base_url: str, journal: str, count: int, start: int, limit: RateLimit | None) -> tuple[float, float]:
    """Ask as a transformer does."""
    models = open_models(
        open_journal(journal),
        settings=ModelSettings(concurrency=AT_ONCE),
        buckets=limit and open_buckets(journal),
        claims=open_claims(journal),
    )

    usage = Usage()

    async def work(number: int) -> None:
        text = question(start + number)
        call = ModelCall("gpt-4o-mini", (ChatMessage("user", text),), base_url, schema=SHAPE.schema, rate_limit=limit)
        reply = await ask(models, call, Payer("run_1", str(number), usage), SHAPE, patience=120)
        assert reply.output is not None, reply.error

    try:
        return await in_turns(work, count)
    finally:
        await models.close()


@contextlib.contextmanager
def model(latency: str = "100ms") -> Iterator[str]:
    """Run a simulated model, as a process of its own."""
    command = [sys.executable, "-m", "loom", "simulate-model", "--port", "0", "--latency", latency]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


async def measure(count: int, rounds: int, folder: Path) -> float:
    """Print a line for each way, in turns with the bare loop. Gives how many times that one's CPU the dearest took."""
    redis = Redis()
    redis.start()
    sqlite = f"sqlite:///{folder}/journal.db"
    await upgrade_all([sqlite])
    ways = {
        "SQLite journal": (sqlite, None),
        "SQLite journal, limits": (sqlite, LIMIT),
        "Redis journal": (redis.url, None),
        "Redis journal, limits": (redis.url, LIMIT),
    }
    dearest = 0.0
    try:
        with model() as base_url:
            await bare(base_url, AT_ONCE, 10**9)
            await loom(base_url, "memory://", AT_ONCE, 10**9, None)
            start = 0
            print(f"{count:,} calls at {AT_ONCE} in flight, {rounds} rounds: medians")
            for name, (journal, limit) in ways.items():
                pairs = []
                for _ in range(rounds):
                    start += count
                    pairs.append(
                        (await loom(base_url, journal, count, start, limit), await bare(base_url, count, start))
                    )
                ours, theirs = (median(side[0] for side in sides) for sides in zip(*pairs, strict=True))
                rate = median(pair[0][1] for pair in pairs)
                dearest = max(dearest, ours / theirs)
                print(
                    f"{name:<24} {ours:.2f} ms CPU a call, bare aiohttp {theirs:.2f}: {ours / theirs:.1f} times; "
                    f"{rate:,.0f} calls/s",
                    flush=True,
                )
    finally:
        redis.close()
    return dearest


def main() -> None:
    """Measure what model calls cost, and print it."""
    parser = argparse.ArgumentParser(prog="python -m bench.model_calls", description=__doc__.partition("\n")[0])
    parser.add_argument("--calls", type=int, default=3000, help="per round (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--most", type=float, help="fail where a call costs more times the bare loop's CPU")
    options = parser.parse_args()
    collect_less()
    with tempfile.TemporaryDirectory(prefix="loom-bench-") as folder:
        times = uvloop.run(measure(options.calls, options.rounds, Path(folder)))
    figures.keep("model_calls.times", times)
    if options.most is not None and times > options.most:
        sys.exit(f"bench: {times:.1f} times the bare loop's CPU; at most {options.most:g} was asked for")


if __name__ == "__main__":
    main()
