"""Model calls that are journalled: looked up before they are made, written down before they are used.

A crash or a redelivery re-pays at most the calls that were in flight at that instant. Who asks for what is
already being asked waits for that answer instead of paying for another."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import orjson

from loom_ai.grouped import Grouped
from loom_ai.keys import key_of, last_answer_of
from loom_ai.ports import Entry, Journal, ModelAnswer, ModelCall, ModelClient, Payer
from loom_ai.prices import Prices
from loom_ai.spending import Spent
from loom_common.domain.urls import redacted
from loom_common.ports.clock import Clock, SystemClock
from loom_common.time_limits import within


@dataclass(frozen=True, slots=True)
class Reuse:
    """Which answers that others paid for may be used. A record's own always are."""

    enabled: bool = True
    """Off: the call is bound to its record, and no other answer will do."""
    max_age: float | None = None
    """Seconds that an answer of another run may be old; None for any age."""


@dataclass(frozen=True, slots=True)
class Settled:
    """An answer and whose account it is on."""

    answer: ModelAnswer
    spent: Spent
    earlier_run: bool
    """Whether another run paid for it."""


class JournalledModels:
    """Asks models through the journal. One per process: what is in flight is shared."""

    def __init__(
        self,
        client: ModelClient,
        journal: Journal,
        prices: Prices | None = None,
        clock: Clock | None = None,
        concurrency: int = 64,
    ) -> None:
        """`concurrency` is how many calls are in flight at once; what waits its turn can still be cancelled unpaid."""
        self._client = client
        self._journal = journal
        self._prices = prices or Prices()
        self._clock = clock or SystemClock()
        self._slots = asyncio.Semaphore(concurrency)
        self._in_flight: dict[str, asyncio.Task[Entry]] = {}
        self._look_up = Grouped(self._get_group)
        self._write = Grouped(self._put_group)

    async def complete(
        self, call: ModelCall, payer: Payer, reuse: Reuse | None = None, patience: float | None = None
    ) -> Settled:
        """The answer; durable in the journal when this returns. `patience` is how many seconds it may take from when
        it is its turn to be asked for.

        Raises what the client and the journal raise, and `Timeout`. Being cancelled stops the waiting, not a call
        already paid."""
        reuse = reuse or Reuse()
        key = key_of(call, None if reuse.enabled else payer)
        while True:
            if (task := self._in_flight.get(key)) is not None:
                async with _patient(call, patience):
                    entry = await asyncio.shield(task)
            else:
                async with self._slots, _patient(call, patience):
                    entry = await asyncio.shield(self._in_flight.get(key) or self._start(key, call, payer, reuse))
            if self._may_use(entry, payer, reuse):
                return _settled(entry, payer)

    async def remember(self, pipeline: str, payer: Payer, call: ModelCall, output: Mapping[str, Any]) -> None:
        """Keep a good output as the record's last one, for `recall`. Costs nothing in the books."""
        text = orjson.dumps(output).decode()
        answer = ModelAnswer(text, "stop", call.model, tokens_in=0, tokens_cached=0, tokens_out=0, latency=0.0)
        key = last_answer_of(pipeline, payer.record_id)
        await self._write(Entry(key, payer, "remembered", call.provider, call.model, answer, 0.0, self._clock.now()))

    async def recall(self, pipeline: str, payer: Payer, call: ModelCall) -> list[Entry]:
        """What was answered before, at any age: to the same question, and last for the same record."""
        found = [await self._look_up(key) for key in (key_of(call), last_answer_of(pipeline, payer.record_id))]
        return [entry for entry in found if entry is not None]

    async def close(self) -> None:
        """Abandon what is in flight, then release client and journal."""
        tasks = list(self._in_flight.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._look_up.close()
        await self._write.close()
        await self._client.close()
        await self._journal.close()

    def _start(self, key: str, call: ModelCall, payer: Payer, reuse: Reuse) -> asyncio.Task[Entry]:
        task = asyncio.create_task(self._obtain(key, call, payer, reuse))
        self._in_flight[key] = task
        task.add_done_callback(lambda done: self._landed(key, done))
        return task

    def _landed(self, key: str, task: asyncio.Task[Entry]) -> None:
        del self._in_flight[key]
        if not task.cancelled():
            task.exception()  # marks it as seen, where everyone who waited was cancelled

    async def _obtain(self, key: str, call: ModelCall, payer: Payer, reuse: Reuse) -> Entry:
        entry = await self._look_up(key)
        if entry is not None and self._may_use(entry, payer, reuse):
            return entry
        answer = await self._client.complete(call)
        entry = Entry(
            key=key,
            payer=payer,
            purpose=call.purpose,
            provider=call.provider,
            model=call.model,
            answer=answer,
            cost=self._prices.of(call, answer).usd,
            created_at=self._clock.now(),
        )
        await self._write(entry)
        return entry

    def _may_use(self, entry: Entry, payer: Payer, reuse: Reuse) -> bool:
        if entry.payer.run_id == payer.run_id or reuse.max_age is None:
            return True
        return (self._clock.now() - entry.created_at).total_seconds() < reuse.max_age

    async def _get_group(self, keys: Sequence[str]) -> Sequence[Entry | None]:
        found = await self._journal.get_many(keys)
        return [found.get(key) for key in keys]

    async def _put_group(self, entries: Sequence[Entry]) -> Sequence[None]:
        await self._journal.put_many(entries)
        return [None] * len(entries)


def _patient(call: ModelCall, seconds: float | None) -> AbstractAsyncContextManager[None]:
    if seconds is None:
        return nullcontext()
    return within(seconds, f"model {call.model} at {redacted(call.base_url)}: an answer", "timeouts.record")


def _settled(entry: Entry, payer: Payer) -> Settled:
    """A record that meets what it paid for itself (it was delivered twice) counts it again as its own."""
    if entry.payer != payer:
        return Settled(entry.answer, Spent(calls_from_cache=1), earlier_run=entry.payer.run_id != payer.run_id)
    answer = entry.answer
    spent = Spent(calls_made=1, tokens_in=answer.tokens_in, tokens_out=answer.tokens_out, cost=entry.cost)
    return Settled(answer, spent, earlier_run=False)
