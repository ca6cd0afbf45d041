"""Says where tests run pipelines, embedded and on a cluster, and looks up there afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg

from loom.project.config import LoomConfig
from loom.session import Session, open_session
from loom_ai.budget.prices import Prices, Tokens
from loom_common.contracts.v1 import RunFinished, RunProgress
from loom_dev.waiting import within
from support.clients import ended, report_of, request_of
from support.projects import Project
from support.scripted_model import call_of
from support.simulated_model import SimulatedModel


@dataclass(frozen=True)
class Place:
    """Says where a pipeline runs."""

    folder: Path
    clustered: bool
    environ: Mapping[str, str]

    @property
    def config(self) -> LoomConfig:
        return LoomConfig.load(self.folder / "loom.yaml")

    def own(self, name: str) -> tuple[Path, str]:
        """Return a folder and a destination that no other test has, nor this one when it runs again in the session: the
        folder and the database of a cluster outlive a test."""
        apart = f"{name}_{uuid4().hex[:8]}"
        table = f"${{RESULTS}}?table={apart}" if self.clustered else f"sqlite:///results.db?table={name}"
        return self.folder / apart, table


def spent(server: SimulatedModel, model: str = "gpt-4o-mini") -> float:
    """Return the USD that the provider would charge."""
    return Prices().quote(call_of(model=model), Tokens(given=server.tokens_in, answered=server.tokens_out)).usd


async def run_at(place: Place, made: Project) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Run a project's pipeline there to its end. Return its report, and the rows at its destination."""
    async with open_session(place.config, cluster=place.clustered) as session:
        accepted = await session.start(request_of(made, place.config))
        report = (await ended(session, accepted.run_id)).report.model_dump(mode="json")
    return report, await made.loaded(place.environ)


async def outcome(session: Session, run_id: str) -> RunFinished | RunProgress:
    """Return the run's end, or its pause."""
    async with within(60):
        async for event in session.follow(run_id):
            last = event
    return last


async def table(place: Place, query: str) -> list[dict[str, Any]]:
    """Return rows of the run state, as a user's own SQL would find them."""
    if place.clustered:
        connection = await asyncpg.connect(place.environ["CLUSTER_STATE"])
        rows = [dict(row) for row in await connection.fetch(query)]
        await connection.close()
        return rows
    with closing(sqlite3.connect(place.folder / ".loom" / "loom.db")) as database:
        database.row_factory = sqlite3.Row
        return [dict(row) for row in database.execute(query)]


def journalled(place: Place, run_id: str) -> tuple[int, float]:
    """Return how many answers the journal holds that this run paid for, and their cost."""
    with closing(sqlite3.connect(place.folder / ".loom" / "journal.db")) as database:
        return database.execute(
            "SELECT count(*), sum(cost) FROM journal WHERE run_id = ? AND purpose != 'remembered'", [run_id]
        ).fetchone()


async def booked(config: LoomConfig, run_id: str) -> int:
    return (await report_of(config, run_id))["calls"]["made"]


async def still(*servers: SimulatedModel) -> bool:
    """Tell whether nobody asks these any more: calls that waited when a run paused or ended may still be made."""
    before = [server.calls for server in servers]
    await asyncio.sleep(0.5)
    return [server.calls for server in servers] == before and not any(server.at_once for server in servers)


async def settled(config: LoomConfig, run_id: str, *servers: SimulatedModel) -> bool:
    """Tell whether nobody asks these any more, and all that they answered is on the run's books."""
    return await still(*servers) and await booked(config, run_id) == sum(server.answered for server in servers)


async def until(ask: Callable[[], Awaitable[object]], value: object) -> None:
    """Wait until what `ask` gives is `value`, and say what it was where it does not become that."""
    seen = None
    with contextlib.suppress(TimeoutError):
        async with within(20):
            while (seen := await ask()) != value:
                await asyncio.sleep(0.05)
    assert seen == value
