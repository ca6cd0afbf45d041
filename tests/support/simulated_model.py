"""Runs the simulated model server that users have too (`loom simulate-model`), as tests want it."""

from __future__ import annotations

import contextlib
import itertools
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field

from loom_ai.simulated.answers import answer_for, tokens_of
from loom_ai.simulated.latency import Latency
from loom_ai.simulated.server import FAULTS, FORMS
from loom_ai.simulated.server import SimulatedModel as Server
from loom_dev.backends.ports import reserve_port

__all__ = ["FAULTS", "FORMS", "SERVING", "SimulatedModel", "SlowAfter", "answer_for", "simulated_process", "tokens_of"]


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
