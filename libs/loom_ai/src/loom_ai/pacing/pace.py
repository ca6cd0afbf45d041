"""Decides when a call may go: not while its endpoint asks for a pause, not beyond its limits, not with too many
others."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType

import orjson

from loom_ai.attachments.tokens import attached, likely
from loom_ai.coalescing import Coalescer
from loom_ai.pacing.bucket import Rate, Wish
from loom_ai.pacing.buckets import Buckets, MemoryBuckets
from loom_ai.pacing.concurrency import Concurrency
from loom_ai.pacing.gate import Gate, Stay
from loom_ai.pacing.headers import pause_of
from loom_ai.pacing.token_bounds import about
from loom_ai.pacing.waiting import Waiting
from loom_ai.ports import ModelAnswer, ModelCall, Waits
from loom_common.errors import RateLimited
from loom_common.logs.logger import log
from loom_common.ports.clock import Clock, SystemClock
from loom_common.resilience.pauses import pausing

_LOOK_SECONDS = 1.0
"""Says how often to look whether another worker was asked to pause."""
_LATE_SECONDS = 1.0
"""Who wakes later than this after its moment takes another."""
_LONGEST_PAUSE = 120.0
_FIRST_ANSWER_TOKENS = 256
"""What an answer is taken to have, before one came."""


@dataclass(slots=True)
class _Place:
    """Represents a model at an endpoint, under one key."""

    name: str
    bucket: str
    gates: dict[int | None, Gate] = field(default_factory=dict)
    """Holds the gates by the `concurrency` that pipelines configure for it; None where they leave it to be found."""
    paused_until: float = 0.0
    looked_at: float = float("-inf")
    tokens_out: float = float(_FIRST_ANSWER_TOKENS)
    """Counts the tokens of an answer, of late."""
    owed: float = 0.0
    """Tokens by which answers have passed their estimates, and that the next estimate makes up for."""
    limits: dict[tuple[int | None, int | None], _Limit] = field(default_factory=dict)


@dataclass(slots=True)
class _Limit:
    """Holds the rates of a place, and the wishes that go to its bucket together."""

    requests: Rate | None
    tokens: Rate | None
    take: Coalescer[Wish, float]


@dataclass(slots=True)
class Turn:
    """Represents a call that may go. Tell it how the call ended."""

    _pace: EndpointPacing
    _place: _Place
    _gate: Gate
    _estimate: float

    def answered(self, answer: ModelAnswer) -> None:
        """Note that it was answered, whatever the answer says."""
        place = self._place
        self._gate.concurrency.answered(answer.latency, busy=self._gate.busy)
        self._gate.answered()
        place.tokens_out += 0.05 * (answer.tokens_out - place.tokens_out)
        if self._estimate:
            place.owed += answer.tokens_in + answer.tokens_out - self._estimate

    def over(self, stay: Stay) -> None:
        """Note that it has ended, in whatever way."""
        self._gate.leave(stay)

    async def heard(self, headers: Mapping[str, str]) -> None:
        """Read the headers of a response: they may say that nothing is left."""
        seconds = pause_of(headers, self._pace.clock.now())
        if seconds:
            await self._pace.pause(self._place, seconds)

    async def refused(self, error: RateLimited) -> None:
        """Note that it was refused with 429. Where that says that too much is asked, everyone pauses for as long as the
        endpoint wants."""
        if self._gate.concurrency.refused() and error.retry_after:
            await self._pace.pause(self._place, min(_LONGEST_PAUSE, error.retry_after))


class _Turning:
    """Holds a turn within a block, as `EndpointPacing.turn` says."""

    __slots__ = ("_call", "_pace", "_stay", "_turn", "_watch")
    _stay: Stay
    _turn: Turn

    def __init__(self, pace: EndpointPacing, call: ModelCall, watch: Waits) -> None:
        self._pace = pace
        self._call = call
        self._watch = watch

    async def __aenter__(self) -> Turn:
        self._turn, self._stay = await self._pace.begin(self._call, self._watch)
        return self._turn

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._turn.over(self._stay)


class EndpointPacing:
    """Paces the calls of one process, for each endpoint."""

    def __init__(self, buckets: Buckets | None = None, ceiling: int = 64, clock: Clock | None = None) -> None:
        """Take the `ceiling`, the calls in flight at once to one model, at most, beside those that are overtaken; a
        call's own `concurrency` outweighs it."""
        self.clock = clock or SystemClock()
        self._buckets = buckets or MemoryBuckets(self.clock)
        self._alone = buckets is None
        self._ceiling = ceiling
        self._places: dict[tuple[str, str, str | None], _Place] = {}

    def turn(self, call: ModelCall, waits: Waits | None = None) -> _Turning:
        """Hold a turn around one request. Waits until it may go, and tells `waits`."""
        return _Turning(self, call, waits or Waiting())

    async def begin(self, call: ModelCall, watch: Waits) -> tuple[Turn, Stay]:
        """Return a turn for one request, once it may go; its stay at the gate is left when the request has ended."""
        place = self._place_of(call)
        gate = self._gate_of(place, call)
        stay = gate.enter_at_once(watch.lend)
        try:
            if stay is None:
                async with watch.for_a_turn():
                    stay = await gate.enter(watch.lend)
            estimate = await self._moment(place, call, watch)
        except BaseException:
            if stay is not None:
                gate.leave(stay)
            raise
        return Turn(self, place, gate, estimate), stay

    async def pause(self, place: _Place, seconds: float) -> None:
        """Nobody asks this model for so long, here and in the other workers."""
        until = self.clock.monotonic() + seconds
        if until <= place.paused_until + 0.05:
            return
        place.paused_until = until
        log.info("pausing", model=place.name, for_s=round(seconds, 1))
        await self._buckets.pause(place.bucket, seconds)

    async def close(self) -> None:
        """Close the connections to the buckets that all processes share."""
        for place in self._places.values():
            for limit in place.limits.values():
                await limit.take.close()
        await self._buckets.close()

    async def _moment(self, place: _Place, call: ModelCall, watch: Waits) -> float:
        """Wait for it; gives how many tokens were taken for the call."""
        limit = self._limit_of(place, call)
        estimate = _tokens(place, call) if limit is not None and limit.tokens is not None else 0.0
        while True:
            began = self.clock.monotonic()
            if limit is not None:
                tokens = max(0.0, estimate + place.owed)
                place.owed += estimate - tokens
                wait = await limit.take(_wish(limit, tokens))
            else:
                await self._look(place, began)
                wait = place.paused_until - began
            if wait <= 0:
                return estimate
            asked = place.paused_until > began
            reason = "its endpoint asked for a pause" if asked else "the pipeline's `rate_limit` allows no call earlier"
            async with watch.for_a_turn():
                with pausing(wait, f"model {place.name}: {reason}."):
                    await self.clock.sleep(wait)
            now = self.clock.monotonic()
            if limit is not None and now < began + wait + _LATE_SECONDS and place.paused_until <= now:
                return estimate

    async def _look(self, place: _Place, now: float) -> None:
        """Look whether another worker was asked to pause: once a second, by one call of those that would go."""
        if self._alone or now - place.looked_at < _LOOK_SECONDS:
            return
        place.looked_at = now
        left = await self._buckets.paused(place.bucket)
        place.paused_until = max(place.paused_until, now + left if left else 0.0)

    def _place_of(self, call: ModelCall) -> _Place:
        key = (call.base_url, call.model, call.api_key)
        place = self._places.get(key)
        if place is None:
            bucket = hashlib.sha256(orjson.dumps(key)).hexdigest()
            place = self._places[key] = _Place(call.model, bucket)
        return place

    def _gate_of(self, place: _Place, call: ModelCall) -> Gate:
        said = call.concurrency
        if said not in place.gates:
            place.gates[said] = Gate(Concurrency(said or self._ceiling, configured=said is not None))
        return place.gates[said]

    def _limit_of(self, place: _Place, call: ModelCall) -> _Limit | None:
        said = call.rate_limit
        if said is None:
            return None
        key = (said.requests_per_minute, said.tokens_per_minute)
        limit = place.limits.get(key)
        if limit is None:
            requests, tokens = (None if number is None else Rate(number) for number in key)

            async def take(wishes: Sequence[Wish]) -> Sequence[float]:
                return await self._taken(place, requests, tokens, wishes)

            limit = place.limits[key] = _Limit(requests, tokens, Coalescer(take))
        return limit

    async def _taken(
        self, place: _Place, requests: Rate | None, tokens: Rate | None, wishes: Sequence[Wish]
    ) -> Sequence[float]:
        """Return the seconds until the moment of each, which were all taken at once."""
        total = Wish(sum(wish.requests for wish in wishes), sum(wish.tokens for wish in wishes))
        taken = await self._buckets.take(place.bucket, total)
        waits, before = [], Wish(0.0, 0.0)
        for wish in wishes:
            waits.append(taken.wait(requests, tokens, before))
            before = Wish(before.requests + wish.requests, before.tokens + wish.tokens)
        return waits


def _wish(limit: _Limit, tokens: float) -> Wish:
    return Wish(
        0.0 if limit.requests is None else limit.requests.interval,
        0.0 if limit.tokens is None else limit.tokens.interval * tokens,
    )


def _tokens(place: _Place, call: ModelCall) -> float:
    """Estimate the tokens that the call will take: its question, and an answer like the last ones."""
    texts = (message.content for message in call.messages)
    asked = sum(len(text) / 4 if text.isascii() else about(text) for text in texts)
    asked += attached(call, likely)
    answer = place.tokens_out if call.max_tokens is None else min(place.tokens_out, call.max_tokens)
    return asked + answer
