"""One run under one fault: begun, struck, awaited."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from loom.project.config import LoomConfig
from loom.session import open_session
from loom_common.contracts.v1 import RunAccepted
from matrix.arena import Arena
from support.clients import report_of, request_of
from support.projects import Project, ai, project, reviews

RECORDS = 360
BATCH = 5
LEAST_CONFIDENCE = 0.2
"""Outputs that are less sure of themselves are rejected by the gate, so that the quarantine has work to do."""
OUTPUT = {"mood": {"enum": ["good", "bad"]}, "confidence": {"type": "number", "minimum": 0, "maximum": 1}}
GATE = {"evaluators": [{"type": "range", "field": "confidence", "min": LEAST_CONFIDENCE, "threshold": 1.0}]}
PROMPT = "What is the mood of review {id}: {review}?"
END_SECONDS = 120.0
SETTLE_SECONDS = 20.0
_LOOK = 0.02
TERMINAL = ("succeeded", "partial", "failed", "cancelled")


@dataclass
class Trial:
    """A run, and what may be expected of it after the fault."""

    arena: Arena
    chance: random.Random
    name: str
    made: Project | None = None
    run_id: str = ""
    records: int = RECORDS
    repeatable_calls: int = 0
    """Model calls that were in flight when something was killed, or that are retried and counted."""
    asks_twice: bool = False
    """Whether several runs of it ask the same questions."""
    dead: int = 0
    """Messages that belong into `loom.dead`."""
    asked_again: bool = False
    """Whether messages were destroyed, or look so, and the coordinator may ask again for what they were about."""
    never_logged: tuple[str, ...] = ()
    """What no service may have said meanwhile."""
    check: Callable[[Trial], Awaitable[list[str]]] | None = None
    """What is to be found true instead of the usual, where the pipeline is not the usual one."""
    notes: list[str] = field(default_factory=list)
    struck_at: float | None = None
    ended_at: float = 0.0
    end_seconds: float = END_SECONDS
    settle_seconds: float = SETTLE_SECONDS
    """How long what the run left on the bus may take to be worked off."""

    @property
    def table(self) -> str:
        return self.name

    def make(self, records: int = RECORDS) -> Project:
        """Write the usual project: extract, ask the model, judge, load into Postgres."""
        self.records = records
        self.made = project(
            self.arena.cluster.project / self.name,
            reviews(records),
            name=self.name,
            transform=ai(self.arena.model.base_url, output=OUTPUT, cache={"enabled": False}),
            evaluate=GATE,
            destination=f"${{RESULTS}}?table={self.table}",
            extract={"batch_size": BATCH},
        )
        return self.made

    async def begin(self, records: int = RECORDS) -> str:
        """Start the usual run. Gives its id."""
        self.run_id = await self.start(self.make(records))
        return self.run_id

    async def start(self, made: Project) -> str:
        """Ask for a run of a project, as the SDK does."""
        config = self.config
        async with open_session(config, cluster=True) as session:
            return (await session.start(request_of(made, config))).run_id

    async def command(self, verb: str, run_id: str | None = None) -> RunAccepted | None:
        async with open_session(self.config, cluster=True) as session:
            return await getattr(session, verb)(run_id or self.run_id)

    @property
    def config(self) -> LoomConfig:
        return LoomConfig.load(self.arena.cluster.project / "loom.yaml")

    async def asked(self, calls: int, seconds: float = 60.0) -> None:
        """Return when the model was asked so often."""
        async with asyncio.timeout(seconds):
            while self.arena.model.calls < calls:
                await asyncio.sleep(_LOOK)

    async def midway(self) -> None:
        """Return at some moment in the middle of the run."""
        await self.asked(self.chance.randrange(self.records // 10, self.records * 3 // 4))
        await asyncio.sleep(self.chance.uniform(0, 0.05))

    async def loaded(self, count: int, run_id: str | None = None, seconds: float = 90.0) -> None:
        """Return when so many records are known to be loaded."""
        query = "SELECT coalesce(sum(loaded), 0) FROM batches WHERE run_id = $1"
        async with asyncio.timeout(seconds):
            while (await self.arena.rows(query, run_id or self.run_id))[0][0] < count:
                await asyncio.sleep(_LOOK)

    def struck(self) -> None:
        """The fault begins now."""
        self.struck_at = time.monotonic()

    async def end(self, run_id: str | None = None) -> str:
        """Return when the run has ended; its status. Raises `TimeoutError`."""
        query = "SELECT status FROM pipeline_runs WHERE run_id = $1"
        async with asyncio.timeout(self.end_seconds):
            while True:
                rows = await self.arena.rows(query, run_id or self.run_id)
                if rows and rows[0][0] in TERMINAL:
                    self.ended_at = time.monotonic()
                    return rows[0][0]
                await asyncio.sleep(0.05)

    async def report(self, run_id: str | None = None) -> Mapping[str, Any]:
        return await report_of(self.config, run_id or self.run_id)

    async def loaded_rows(self) -> list[dict[str, Any]]:
        assert self.made is not None
        return await self.made.loaded(os.environ)

    @property
    def recovery(self) -> float:
        """Seconds from the beginning of the fault to the end of the run."""
        return max(0.0, self.ended_at - self.struck_at) if self.struck_at is not None else 0.0
