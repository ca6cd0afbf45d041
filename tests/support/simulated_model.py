"""Runs the simulated model server that users have too (`loom simulate-model`), as tests want it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field

from aiohttp import web

from loom_ai.simulated.answers import answer_for, tokens_of
from loom_ai.simulated.formats import Format, SimulatedRequest
from loom_ai.simulated.latency import Latency
from loom_ai.simulated.server import FAULTS, FORMS
from loom_ai.simulated.server import SimulatedModel as Server
from loom_dev.backends.ports import reserve_port

__all__ = [
    "FAULTS",
    "FORMS",
    "SERVING",
    "CrowdedModel",
    "SimulatedModel",
    "SlowAfter",
    "answer_for",
    "simulated_process",
    "tokens_of",
]


class SimulatedModel(Server):
    """Serves on a port that nothing else is given while the server is away. Its counts are held against the books of
    runs."""

    __hash__ = object.__hash__

    async def __aenter__(self) -> SimulatedModel:
        await self.start(reserve_port())
        SERVING.add(self)
        return self

    async def __aexit__(self, *error: object) -> None:
        SERVING.discard(self)
        await super().__aexit__(*error)


class CrowdedModel(SimulatedModel):
    """Answers once so many calls were in flight at the same time, and before that only those who have waited for ten
    seconds: how many there can be does not depend on how fast the machine is."""

    def __init__(self, crowd: int) -> None:
        super().__init__()
        self._crowd = crowd
        self._is_there = asyncio.Event()

    async def _answer(self, wire: Format, call: SimulatedRequest) -> web.Response:
        if self.most_at_once >= self._crowd:
            self._is_there.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(10):
                await self._is_there.wait()
        return await super()._answer(wire, call)


SERVING: set[SimulatedModel] = set()
"""Those of this process that serve now."""


@dataclass(frozen=True)
class SlowAfter(Latency):
    """Answers at once for so many calls, then slowly: a run gets somewhere, and cannot end before a test has looked at
    it."""

    calls: int = 0
    made: Iterator[int] = field(default_factory=itertools.count)

    def draw(self, chance: random.Random) -> float:
        return 0.0 if next(self.made) < self.calls else self.median


@contextlib.contextmanager
def simulated_process(*options: str) -> Iterator[str]:
    """Run the server as a process of its own; yields its base URL (`http://127.0.0.1:PORT/v1`)."""
    command = [sys.executable, "-m", "loom", "simulate-model", "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()
