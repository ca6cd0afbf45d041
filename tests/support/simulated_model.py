"""Runs the simulated model server that users have too (`loom simulate-model`), as tests want it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import os
import random
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from loom_ai.simulated.answers import answer_for, tokens_of
from loom_ai.simulated.conversation import SimulatedRequest
from loom_ai.simulated.formats import Format
from loom_ai.simulated.latency import Latency
from loom_ai.simulated.server import FAULTS, FORMS
from loom_ai.simulated.server import SimulatedModel as Server
from loom_dev.backends.ports import reserve_port
from support import forked

__all__ = [
    "FAULTS",
    "FORMS",
    "SERVING",
    "SimulatedModel",
    "SlowAfter",
    "answer_for",
    "simulated_process",
    "tokens_of",
]


class SimulatedModel(Server):
    """Serves on a port that nothing else is given while the server is away. Its counts are held against the books of
    runs. It can hold answers back, so that what a test sees does not depend on how fast the machine is."""

    __hash__ = object.__hash__

    def __post_init__(self) -> None:
        super().__post_init__()
        self._let_go = asyncio.Event()
        self._held_from = math.inf
        self._crowd = math.inf

    def hold_after(self, calls: int) -> None:
        """Answer so many calls, and hold those that come later until `let_go`."""
        self._held_from = calls

    def hold_until_together(self, crowd: int) -> None:
        """Hold calls until so many are in flight at the same time, each for ten seconds at most."""
        self._held_from, self._crowd = 0, crowd

    def let_go(self) -> None:
        """Answer what is held, and hold nothing any more."""
        self._let_go.set()

    async def __aenter__(self) -> SimulatedModel:
        await self.start(reserve_port())
        SERVING.add(self)
        return self

    async def __aexit__(self, *error: object) -> None:
        SERVING.discard(self)
        await super().__aexit__(*error)

    async def _answer(self, wire: Format, call: SimulatedRequest) -> web.Response:
        if self.at_once >= self._crowd:
            self.let_go()
        if self.calls > self._held_from:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._let_go.wait(), 10 if self._crowd < math.inf else None)
        return await super()._answer(wire, call)


@contextlib.contextmanager
def served_in_a_thread() -> Iterator[SimulatedModel]:
    """Serve a model from an event loop of its own, for a test that does not run one: a command in the process of the
    tests has its own loop."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="simulated model", daemon=True)
    thread.start()
    model = SimulatedModel()
    try:
        asyncio.run_coroutine_threadsafe(model.__aenter__(), loop).result()
        yield model
    finally:
        asyncio.run_coroutine_threadsafe(model.__aexit__(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


SERVING: set[SimulatedModel] = set()
"""Holds the models of this process that serve now."""


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
    arguments = ("simulate-model", "--port", "0", *options)
    out, out_of_it = os.pipe()
    with os.fdopen(out, encoding="utf-8") as said, Path(os.devnull).open("wb") as nowhere:
        try:
            process = forked.fork("loom", arguments, Path.cwd(), os.environ, (out_of_it, nowhere.fileno()))
        finally:
            os.close(out_of_it)
        try:
            yield said.readline().strip()
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()
