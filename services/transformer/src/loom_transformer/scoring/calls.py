"""Calls a scorer that takes several texts at once, in this process."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from loom_common.errors import PermanentError, RecordError, TransientError, UserCodeError, WorkerWornOut
from loom_common.user_code.event_loop import UserLoop
from loom_common.user_code.poison_isolation import USER_CODE, Risk
from loom_transformer.scoring.answers import at_fault, late, one_for_each
from loom_transformer.scoring.bounds import Bounds
from loom_transformer.scoring.turns import Turns

ScoreTexts = Callable[[list[str]], Any]
"""Scores several texts: returns, or awaits, an output for each, in their order."""
WARM_UP_SECONDS = 600.0
"""Says how long a scorer may take to load, and to score the text that warms it up. Large models on slow disks take
minutes."""


class Calls(Protocol):
    """Scores texts, some at a time."""

    @property
    def risk(self) -> Risk:
        """Return the risk of its code for this process."""
        ...

    @property
    def at_once(self) -> bool:
        """Tell whether several calls may be under way at the same time, so that more is scored."""
        ...

    async def scored(self, texts: list[str]) -> Sequence[Any] | RecordError:
        """Return an output, or the error of its text, for each text; or why there is none for any of them.

        Raises what is said of more than these texts: `TransientError`, `PermanentError`, `WorkerWornOut`."""
        ...


class InProcess:
    """Calls a scorer in a thread of this process, or on an event loop of its own where it is asynchronous."""

    risk = USER_CODE
    at_once = False

    def __init__(
        self, name: str, scorer: Any, bounds: Bounds, warm_up: str | None = None, turns: Turns | None = None
    ) -> None:
        """Take an object with a method `score(texts)`. Whoever shares it shares its `turns`."""
        score: ScoreTexts = scorer.score
        self._name = name
        self._score = score
        self._turns = turns or Turns(scorer)
        self._bounds = bounds
        self._loop = UserLoop(bounds.threads)
        self._awaits = inspect.iscoroutinefunction(score)
        self._warm_up = warm_up
        self._warming = asyncio.Lock()

    async def scored(self, texts: list[str]) -> Sequence[Any] | RecordError:
        if self._warm_up is not None:
            async with self._warming:
                await self._warmed()
        return await self._called(texts, self._bounds.seconds)

    async def _warmed(self) -> None:
        if self._warm_up is None:
            return
        found = await self._called([self._warm_up], WARM_UP_SECONDS)
        if isinstance(found, RecordError):
            raise UserCodeError(f"{self._name} cannot score the text of `transform.warm_up`: {found}")
        self._warm_up = None

    async def _called(self, texts: list[str], seconds: float) -> Sequence[Any] | RecordError:
        name = self._name
        try:
            if self._awaits:
                found = await self._loop.run(lambda: self._awaited(texts), seconds)
            else:
                async with self._turns.taken():
                    (found,) = await self._bounds.threads.each(
                        [texts], self._caught, seconds, late=lambda _: late(name, seconds)
                    )
        except TimeoutError:
            return late(name, seconds)
        return found if isinstance(found, RecordError) else one_for_each(found, texts, name)

    def _caught(self, texts: list[str]) -> Any:
        try:
            return self._score(texts)
        except BaseException as error:  # noqa: BLE001 - the scorer may raise anything
            return at_fault(error, self._name)

    async def _awaited(self, texts: list[str]) -> Any:
        try:
            scoring: Awaitable[Any] = self._score(texts)
            return await scoring
        except (PermanentError, TransientError, WorkerWornOut):
            raise
        except Exception as error:  # noqa: BLE001 - the scorer may raise anything
            return at_fault(error, self._name)
