"""Makes projects whose pipeline is a stream over a folder, and reads what came of it."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

from loom.project.config import LoomConfig
from loom.session import Session, open_session
from loom_common.contracts.v1 import RunFinished, RunProgress, RunReport
from loom_dev.waiting import within
from support.clients import request_of
from support.projects import PASSTHROUGH, Project
from support.proxy import Proxy

TABLE = "sqlite:///out.db?table=t"


def streaming(folder: Path, **sections: Any) -> Project:
    """Write a stream over the files of the folder `inbox`, which is empty. Its windows close after ten records."""
    (folder / "inbox").mkdir(parents=True)
    (folder / "loom.yaml").write_text("{}\n")
    definition = {
        "name": "tickets",
        "mode": "streaming",
        "window": {"every": "1h", "records": 10},
        "batch": {"size": 4, "wait": "20ms"},
        "extract": {"source": "inbox/*.jsonl", "key": "id", "poll": "20ms", "settle": "0s"},
        "transform": dict(PASSTHROUGH),
        "load": {"destination": TABLE, "mode": "append"},
    }
    made = Project(folder, folder / "pipeline.yaml", {**definition, **sections})
    made.say()
    return made


def arrive(made: Project, name: str, numbers: range, **more: Any) -> None:
    """Let a file with these records appear, whole."""
    beside = made.path(f"{name}.part")
    beside.write_text("".join(json.dumps({"id": f"t{each:05}", **more}) + "\n" for each in numbers))
    beside.rename(made.path("inbox") / f"{name}.jsonl")


def ids_loaded(made: Project) -> list[str]:
    """Return the ids of the rows at the destination, in order; none where it is not there yet."""
    if not made.path("out.db").exists():
        return []
    with closing(sqlite3.connect(made.path("out.db"), timeout=10)) as database:
        if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 't'").fetchone():
            return []
        return [each for (each,) in database.execute("SELECT id FROM t ORDER BY id")]


def ids(numbers: range) -> list[str]:
    """Return the ids of records that arrived."""
    return [f"t{each:05}" for each in numbers]


def windows(made: Project) -> list[tuple[int, str, int]]:
    """Return the number, the status and the records of each window of the project's stream."""
    return state(
        made,
        "SELECT stream_window, status, records_processed FROM pipeline_runs WHERE stream IS NOT NULL "
        "ORDER BY stream_window",
    )


def state(made: Project, query: str) -> list[tuple[Any, ...]]:
    """Ask the project's state database."""
    with closing(sqlite3.connect(f"file:{made.path('.loom/loom.db')}?mode=ro", uri=True, timeout=10)) as database:
        return database.execute(query).fetchall()


def stream_of(made: Project) -> str:
    """Return the id of the project's only stream."""
    ((stream_id,),) = state(made, "SELECT stream_id FROM streams")
    return str(stream_id)


async def outlives_its_source(made: Project, proxy: Proxy, put: Callable[[range], Awaitable[object]]) -> None:
    """Let a stream read its source through a proxy that refuses connections for a while, and see that it says so, and
    loads what has been `put` before and meanwhile."""
    await put(range(3))
    async with opened(made) as stream:
        await stream.until(lambda: len(ids_loaded(made)) == 3)
        await proxy.refuse()
        await put(range(3, 6))
        await stream.until(lambda: any("is away" in notice for notice in stream.notices))
        await proxy.accept()
        await stream.until(lambda: len(ids_loaded(made)) == 6)
        await stream.drained()
    assert windows(made) == [(1, "succeeded", 6)]


@asynccontextmanager
async def opened(made: Project, **asked: Any) -> AsyncIterator[Following]:
    """Open the project's stream in this process, as `loom run` does. It is paused at the end of the block. The
    request says besides what is `asked`."""
    config = LoomConfig.load(made.folder / "loom.yaml")
    async with open_session(config, cluster=False) as session:
        accepted = await session.begin(request_of(made, config, **asked))
        following = Following(session, str(accepted.stream))
        task = asyncio.create_task(following.follow(accepted.window or 1))
        try:
            yield following
        finally:
            if not task.done():
                await session.pause(following.stream)
                async with within(30):
                    await task


class Following:
    """Follows a stream, and keeps the reports of its windows."""

    def __init__(self, session: Session, stream: str) -> None:
        self.session = session
        self.stream = stream
        self.reports: list[RunReport] = []
        self.notices: list[str] = []
        self._paused = asyncio.Event()
        self.ended = asyncio.Event()

    async def follow(self, first: int) -> None:
        async for event in self.session.follow_stream(self.stream, first):
            if isinstance(event, RunFinished):
                self.reports.append(event.report)
            elif event.status == "paused":
                self._paused.set()
            if isinstance(event, RunProgress) and event.notice:
                self.notices.append(event.notice)
        self.ended.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition` holds."""
        async with within(20):
            while not condition():
                await asyncio.sleep(0.01)

    async def closed(self, number: int) -> None:
        """Wait until so many windows have ended."""
        await self.until(lambda: len(self.reports) >= number)

    async def drained(self) -> None:
        """Let the stream end after what has arrived, and wait for it."""
        await self.session.drain(self.stream)
        async with within(20):
            await self.ended.wait()

    async def paused(self) -> None:
        """Wait until a window is paused."""
        async with within(20):
            await self._paused.wait()
