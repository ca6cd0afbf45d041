"""Makes one call for one question, in whichever processes it is asked at the same time.

Who has the question's claim asks; everyone else waits until the answer is in the journal, or the claim is free because
its holder failed or died. Losing the claims costs repeated calls, never a record."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from loom_ai.coalescing import Coalescer
from loom_ai.journal.claims import LEASE_SECONDS, Claim, Claims
from loom_ai.pacing.waiting import Waiting
from loom_ai.ports import Entry, Payer
from loom_common.errors import LoomError
from loom_common.logs.logger import log
from loom_common.ports.clock import Clock, SystemClock

AWAY_SECONDS = 10.0
"""How long the claims are left alone after they could not be reached."""
_RENEW_SECONDS = LEASE_SECONDS / 3
_FIRST_LOOK = 0.02
_LONGEST_LOOK = 0.5
_GROUP = 500


class SingleFlight:
    """Makes each call once in all processes that share `claims`."""

    def __init__(self, claims: Claims, clock: Clock | None = None) -> None:
        self._claims = claims
        self._clock = clock or SystemClock()
        self._take = Coalescer(self._take_group, _GROUP)
        self._held: dict[str, Claim] = {}
        self._done: list[Claim] = []
        self._away_until = 0.0
        self._tasks: dict[str, asyncio.Task[None]] = {}

    @asynccontextmanager
    async def first(
        self, key: str, payers: Sequence[Payer], look_up: Callable[[], Awaitable[Entry | None]], waiting: Waiting
    ) -> AsyncIterator[Entry | None]:
        """Yield None where the call is to be made, within the block; else yield what another one was answered.
        `look_up` finds that in the journal. What is written there within the block, others find when it ends.
        `payers`: who wants the answer here; more may join them."""
        claim = Claim.of(key, payers[0])
        try:
            if await self._take(claim):
                entry = await look_up()  # it was answered between the look that found nothing and the claim
            else:
                claim, entry = await self._wait(key, payers, look_up, waiting)
            if entry is None:
                self._held[key] = claim
                self._begin("renew", self._renew)
            yield entry
        finally:
            self._held.pop(key, None)
            self._done.append(claim)
            self._begin("release", self._release)

    async def taken(self, payers: Mapping[str, Payer]) -> set[str]:
        """Take the claims of several questions without waiting. The ones taken are kept up until `let_go`."""
        claims = [Claim.of(key, payer) for key, payer in payers.items()]
        took: list[bool] = []
        for start in range(0, len(claims), _GROUP):
            took += await self._take_group(claims[start : start + _GROUP])
        mine = {claim.key: claim for claim, mine in zip(claims, took, strict=True) if mine}
        self._held |= mine
        if mine:
            self._begin("renew", self._renew)
        return set(mine)

    def let_go(self, keys: Iterable[str]) -> None:
        """Release claims that `taken` has taken."""
        self._done += [claim for key in keys if (claim := self._held.pop(key, None)) is not None]
        self._begin("release", self._release)

    async def until_free(self, key: str, payer: Payer, look_up: Callable[[], Awaitable[Entry | None]]) -> None:
        """Wait until `look_up` finds an answer, or the claim on the question is released without one."""
        claim, _ = await self._wait(key, [payer], look_up, Waiting())
        self._done.append(claim)
        self._begin("release", self._release)

    async def close(self) -> None:
        """Let go of what is held, then release the connections."""
        if renewing := self._tasks.get("renew"):
            renewing.cancel()
        await self._take.close()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        await self._claims.close()

    @property
    def _reachable(self) -> bool:
        return self._clock.monotonic() >= self._away_until

    async def _wait(
        self, key: str, payers: Sequence[Payer], look_up: Callable[[], Awaitable[Entry | None]], waiting: Waiting
    ) -> tuple[Claim, Entry | None]:
        """Return another one's answer; None where there is none, and the claim is this one's now. Those who want it try
        for it in turns, the last to come first: one whose worker died in the midst of it need not wait for its
        lease."""
        pause, turn = _FIRST_LOOK, 0
        with waiting.for_another():
            while True:
                await self._clock.sleep(pause)
                claim = Claim.of(key, payers[-1 - turn % len(payers)])
                pause, turn = min(2 * pause, _LONGEST_LOOK), turn + 1
                taken = await self._take(claim)
                entry = await look_up()
                if taken or entry is not None:
                    return claim, entry

    async def _take_group(self, claims: Sequence[Claim]) -> Sequence[bool]:
        if self._reachable:
            try:
                return await self._claims.take(claims)
            except LoomError as error:
                self._went_away(error)
        return [True] * len(claims)

    async def _renew(self) -> None:
        """Renew for as long as something is held."""
        while self._held:
            await self._clock.sleep(_RENEW_SECONDS)
            held = list(self._held.values())
            for start in range(0, len(held), _GROUP):
                await self._take_group(held[start : start + _GROUP])

    async def _release(self) -> None:
        """Release what is done with; what comes meanwhile goes together next."""
        while self._done:
            done, self._done = self._done[:_GROUP], self._done[_GROUP:]
            if self._reachable:
                try:
                    await self._claims.release(done)
                except LoomError as error:
                    self._went_away(error)

    def _begin(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Begin one task of each name at a time."""
        task = self._tasks.get(name)
        if task is None or task.done():
            self._tasks[name] = asyncio.create_task(work())

    def _went_away(self, error: LoomError) -> None:
        self._away_until = self._clock.monotonic() + AWAY_SECONDS
        log.warning("equal questions are asked once per process until claims answer", error=str(error))
