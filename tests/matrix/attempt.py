"""Makes one run under one fault: it starts the run, notes when the fault begins, and waits for the end."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from loom.project.config import LoomConfig
from loom.session import Session, open_session
from loom_common.contracts.v1 import RunAccepted
from matrix.cluster_under_test import ClusterUnderTest
from support.clients import report_of, request_of
from support.projects import Project, ai, project, reviews

RECORDS = 360
BATCH = 5
LEAST_CONFIDENCE = 0.2
"""The gate rejects outputs with a lower confidence, so that the quarantine gets records."""
OUTPUT = {"mood": {"enum": ["good", "bad"]}, "confidence": {"type": "number", "minimum": 0, "maximum": 1}}
GATE = {"evaluators": [{"type": "range", "field": "confidence", "min": LEAST_CONFIDENCE, "threshold": 1.0}]}
PROMPT = "What is the mood of review {id}: {review}?"
END_SECONDS = 120.0
SETTLE_SECONDS = 20.0
_LOOK = 0.02
TERMINAL = ("succeeded", "partial", "failed", "cancelled")
Order = Callable[[Session, str], Awaitable[RunAccepted]]
"""Is a method of `Session` that takes the id of a run."""


@dataclass
class Attempt:
    """Represents a run, and what is expected of it after the fault."""

    system: ClusterUnderTest
    chance: random.Random
    name: str
    made: Project | None = None
    run_id: str = ""
    records: int = RECORDS
    repeatable_calls: int = 0
    """Model calls that may be repeated because they were in flight when a process was killed."""
    asks_twice: bool = False
    """Tells whether several runs of this attempt ask the same questions."""
    dead_letters: int = 0
    """The number of messages that must end in `loom.dead`."""
    asked_again: bool = False
    """Whether messages are destroyed, or seem so, and the coordinator may publish work again."""
    never_logged: tuple[str, ...] = ()
    """Texts that no service may have logged."""
    check: Callable[[Attempt], Awaitable[list[str]]] | None = None
    """Replaces the usual checks where the pipeline is not the usual one."""
    notes: list[str] = field(default_factory=list)
    fault_began_at: float | None = None
    ended_at: float = 0.0
    end_seconds: float = END_SECONDS
    settle_seconds: float = SETTLE_SECONDS
    """The number of seconds within which the remaining messages of the run must be consumed."""

    @property
    def table(self) -> str:
        return self.name

    def make(self, records: int = RECORDS) -> Project:
        """Write the usual project: it extracts, asks the model, evaluates, and loads into Postgres."""
        self.records = records
        self.made = project(
            self.system.cluster.project / self.name,
            reviews(records),
            name=self.name,
            transform=ai(self.system.model.base_url, output=OUTPUT, cache={"enabled": False}),
            evaluate=GATE,
            destination=f"${{RESULTS}}?table={self.table}",
            extract={"batch_size": BATCH},
        )
        return self.made

    async def begin(self, records: int = RECORDS) -> str:
        """Start the usual run and return its id."""
        self.run_id = await self.start(self.make(records))
        return self.run_id

    async def start(self, made: Project) -> str:
        """Start a run of the project through the SDK and return its id."""
        config = self.config
        async with open_session(config, cluster=True) as session:
            return (await session.start(request_of(made, config))).run_id

    async def command(self, order: Order, run_id: str | None = None) -> RunAccepted:
        async with open_session(self.config, cluster=True) as session:
            return await order(session, run_id or self.run_id)

    @property
    def config(self) -> LoomConfig:
        return LoomConfig.load(self.system.cluster.project / "loom.yaml")

    async def wait_for_calls(self, calls: int, seconds: float = 60.0) -> None:
        """Wait until the model has been called this often."""
        async with asyncio.timeout(seconds):
            while self.system.model.calls < calls:
                await asyncio.sleep(_LOOK)

    async def wait_until_midway(self) -> None:
        """Wait until a random moment in the middle of the run."""
        await self.wait_for_calls(self.chance.randrange(self.records // 10, self.records * 3 // 4))
        await asyncio.sleep(self.chance.uniform(0, 0.05))

    async def wait_for_loaded(self, count: int, run_id: str | None = None, seconds: float = 90.0) -> None:
        """Wait until this many records are known to be loaded."""
        query = "SELECT coalesce(sum(loaded), 0) FROM batches WHERE run_id = $1"
        async with asyncio.timeout(seconds):
            while (await self.system.rows(query, run_id or self.run_id))[0][0] < count:
                await asyncio.sleep(_LOOK)

    def fault_begins(self) -> None:
        """Note that the fault begins now."""
        self.fault_began_at = time.monotonic()

    async def end(self, run_id: str | None = None) -> str:
        """Wait until the run has ended and return its status. Raises `TimeoutError`."""
        query = "SELECT status FROM pipeline_runs WHERE run_id = $1"
        async with asyncio.timeout(self.end_seconds):
            while True:
                rows = await self.system.rows(query, run_id or self.run_id)
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
        """Return the seconds from the beginning of the fault to the end of the run."""
        return max(0.0, self.ended_at - self.fault_began_at) if self.fault_began_at is not None else 0.0
