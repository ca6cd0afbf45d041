"""Makes streams on a cluster, from a queue into a table, and says what came of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

from loom.project.config import LoomConfig
from loom.session import Session, open_session
from loom_common.contracts.v1 import RunAccepted
from loom_coordinator.queries.audit.books import books
from loom_coordinator.queries.audit.rules import differences
from loom_dev.waiting import within
from loom_migrations.engine import open_engine
from support.clients import request_of
from support.cluster import Cluster
from support.projects import Project, project, review_ids
from support.queues import Queues, queues_at, reviews
from support.streamed import Following, ids


def named(name: str) -> str:
    """Return a name that no stream has had: a stream goes on where one of the same name ended."""
    return f"{name}_{uuid4().hex[:8]}"


def streaming(cluster: Cluster, name: str, **sections: Any) -> Project:
    """Write a stream from the queue of this name into the table of this name. Its windows close after twenty
    records."""
    made = project(cluster.project / name, [], name=name, source="none.csv")
    definition = {
        "mode": "streaming",
        "window": {"every": "1h", "records": 20},
        "batch": {"size": 5, "wait": "20ms"},
        "extract": {"source": f"${{CLUSTER_BUS}}?queue={name}", "key": "id", "options": {"prefetch": 10}},
        "load": {"destination": f"${{RESULTS}}?table={name}", "mode": "append"},
    }
    made = Project(made.folder, made.pipeline, {**made.definition, **definition, **sections})
    made.say()
    return made


async def ids_in(cluster: Cluster, table: str) -> list[str]:
    """Return the ids in a table, in order; none where it is not there yet."""
    (row,) = await cluster.rows("SELECT to_regclass($1) IS NOT NULL AS there", table)
    return [row["id"] for row in await cluster.rows(f"SELECT id FROM {table} ORDER BY id")] if row["there"] else []


async def until_loaded(cluster: Cluster, table: str, count: int) -> None:
    """Wait until so many rows are in a table."""
    async with within(60):
        while len(await ids_in(cluster, table)) < count:
            await asyncio.sleep(0.05)


async def outlives_an_extractor(cluster: Cluster, made: Project, put: Callable[[range], Awaitable[object]]) -> None:
    """Kill an extractor while it reads a stream, and see that another one goes on where it was. The source is given
    records by `put`."""
    name = made.definition["name"]
    config = LoomConfig.load(cluster.project / "loom.yaml")
    await put(range(30))
    async with open_session(config, cluster=True) as session:
        following = Following(session, str((await session.begin(request_of(made, config))).stream))
        task = asyncio.create_task(following.follow(1))
        await until_loaded(cluster, name, 5)
        cluster.kill("extractor")
        await cluster.serve()
        await put(range(30, 40))
        await until_loaded(cluster, name, 40)
        await session.drain(following.stream)
        async with within(60):
            await task
    assert await ids_in(cluster, name) == ids(range(40))


class ClusterStream:
    """Represents a stream that reads a queue of its own, and is followed."""

    def __init__(self, cluster: Cluster, made: Project, queues: Queues, session: Session, arrived: int) -> None:
        self.cluster = cluster
        self.made = made
        self.queues = queues
        self.session = session
        self.arrived = arrived
        self.name = str(made.definition["name"])
        self._task: asyncio.Task[None] | None = None

    async def opened(self, **asked: Any) -> RunAccepted:
        """Ask for the pipeline as its file is now, and follow its stream where it is not followed yet."""
        config = LoomConfig.load(self.cluster.project / "loom.yaml")
        accepted = await self.session.begin(request_of(self.made, config, **asked))
        if self._task is None or self._task.done():
            self.following = Following(self.session, str(accepted.stream))
            self._task = asyncio.create_task(self.following.follow(accepted.window or 1))
        return accepted

    async def arrive(self, count: int) -> None:
        """Let so many more records arrive."""
        await self.queues.put(self.name, *reviews(range(self.arrived, self.arrived + count)))
        self.arrived += count

    async def until_loaded(self, count: int) -> None:
        """Wait until so many rows are at the destination."""
        await until_loaded(self.cluster, self.name, count)

    async def until_told(self, count: int) -> None:
        """Wait until so many windows were told to have ended."""
        async with within(60):
            while len(self.following.reports) < count:
                await asyncio.sleep(0.05)

    async def windows(self) -> list[dict[str, Any]]:
        """Return the windows, in their order."""
        return await self.cluster.rows(
            "SELECT stream_window AS number, status, pipeline_version AS version, records_processed AS records "
            "FROM pipeline_runs WHERE stream = $1 ORDER BY stream_window",
            self.following.stream,
        )

    async def kept_back(self) -> list[dict[str, Any]]:
        """Return the records of the stream that stand in the quarantine."""
        return await self.cluster.rows(
            "SELECT record_id, code FROM quarantined_records JOIN pipeline_runs USING (run_id) WHERE stream = $1",
            self.following.stream,
        )

    async def until_version(self, version: str) -> None:
        """Wait until the newest window is one of this version of the pipeline."""
        async with within(60):
            while (await self.windows())[-1]["version"] != version:
                await asyncio.sleep(0.05)

    async def ended(self) -> None:
        """Let the stream end after what has arrived, and wait for it."""
        await self.session.drain(self.following.stream)
        async with within(60):
            await self.following.ended.wait()

    async def drained(self, kept: int = 0) -> None:
        """End the stream, and see that each record that arrived is at the destination once, but for so many more that
        are kept back."""
        await self.ended()
        assert await ids_in(self.cluster, self.name) == review_ids(self.arrived)
        assert sum(row["records"] for row in await self.windows()) == self.arrived + kept
        assert len(await self.kept_back()) == kept
        assert await self._differences() == []

    async def _differences(self) -> list[str]:
        """Return what does not agree in the books of the windows."""
        ids = await self.cluster.rows("SELECT run_id FROM pipeline_runs WHERE stream = $1", self.following.stream)
        engine = open_engine(self.cluster.state_url, reads=True, pool_size=1)
        try:
            async with engine.connect() as connection:
                found = {row["run_id"]: differences(await books(connection, row["run_id"], None)) for row in ids}
        finally:
            await engine.dispose()
        return [f"{run_id}: {each}" for run_id, several in found.items() for each in several]

    async def close(self, *, stays: bool) -> None:
        """Follow the stream no more; cancel it unless it has ended, or `stays`."""
        if self._task is not None:
            if not stays and not self._task.done():
                await self.session.cancel(self.following.stream)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)


@asynccontextmanager
async def stream_on(
    cluster: Cluster, name: str, *, arrived: int = 0, stays: bool = False, **sections: Any
) -> AsyncIterator[ClusterStream]:
    """Open a stream, or go on with the one to which so many records have come. It is cancelled at the end of the block,
    unless it has ended or `stays`."""
    made = streaming(cluster, name, **sections)
    config = LoomConfig.load(cluster.project / "loom.yaml")
    async with queues_at(cluster.bus_url) as queues, open_session(config, cluster=True) as session:
        await queues.declare(name)
        stream = ClusterStream(cluster, made, queues, session, arrived)
        try:
            await stream.opened()
            yield stream
        finally:
            await stream.close(stays=stays)
