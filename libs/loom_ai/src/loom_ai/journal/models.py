"""Makes model calls that are journalled: looked up before they are made, written down before they are used.

A crash or a redelivery re-pays at most the calls that were in flight at that instant. Who asks for what is
already being asked waits for that answer instead of paying for another."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

from loom_ai.budget.price_list import PriceList
from loom_ai.budget.prices import Prices
from loom_ai.budget.reservations import BudgetReservations
from loom_ai.coalescing import Coalescer
from loom_ai.journal import traced
from loom_ai.journal.budgeted_calls import Books, BudgetedCalls
from loom_ai.journal.settled import Settled, counted, settled
from loom_ai.journal.shared_questions import SharedQuestions
from loom_ai.journal.single_flight import SingleFlight
from loom_ai.journal.streaks import Streaks
from loom_ai.journal.under_way.call_slots import CallSlots
from loom_ai.journal.under_way.calls import CallsUnderWay
from loom_ai.journal.under_way.pending_call import PendingCall
from loom_ai.keys import key_of, last_answer_of
from loom_ai.ports import NOTED, BatchAnswers, Entry, Journal, ModelAnswer, ModelCall, ModelClient, Payer
from loom_common.domain.json_values import exact_json
from loom_common.domain.run.recovery import pause_after
from loom_common.errors import BudgetExhausted, RecordError
from loom_common.ports.clock import Clock, SystemClock
from loom_common.ports.tracing import tracer
from loom_common.worker.usage import Usage


@dataclass(frozen=True, slots=True)
class Reuse:
    """Says which answers that other runs paid for may be used. Those of the run itself always are."""

    enabled: bool = True
    """Off: no answer of another run will do."""
    max_age: float | None = None
    """The number of seconds that an answer of another run may be old; None for any age."""

    def key(self, call: ModelCall, payer: Payer) -> str:
        """Return the key under which the journal holds the answer that the payer may use."""
        return key_of(call, None if self.enabled else payer.run_id)


class JournalledModels:
    """Asks models through the journal. One per process: what is in flight is shared."""

    def __init__(
        self,
        client: ModelClient,
        journal: Journal,
        prices: Prices | None = None,
        clock: Clock | None = None,
        concurrency: int = 64,
        reservations: BudgetReservations | None = None,
        fleet: SingleFlight | None = None,
        batches: BatchAnswers | None = None,
        *,
        at_batch_price: bool = False,
    ) -> None:
        """`concurrency` is how many calls to a model are in flight at once, until they are written down, beside those
        that hang; a call's own `concurrency` outweighs it.
        `reservations` keeps to the budgets of runs that have one. `fleet` is for other processes that ask the same
        questions. `batches` answers calls that may be answered later; without it they are asked directly, and cost what
        that costs, or, with `at_batch_price`, what they would cost in a batch: for estimates."""
        self._client = client
        self._journal = journal
        self.tools: Literal["run", "made_up", "refused"] = "run"
        """Says what becomes of a tool that a model asks for and whose result is not known: estimates make one up."""
        self.prices = prices or Prices()
        """Says what calls cost."""
        self._clock = clock or SystemClock()
        self._slots = CallSlots(concurrency)
        self._reservations = reservations
        self._fleet = fleet
        self._batches = batches
        self._at_batch_price = at_batch_price
        books = Books(self._found, self.note, self._written, self._enter_usage, self._priced)
        self._budgeted = BudgetedCalls(client, reservations, books)
        self.shared = SharedQuestions(fleet)
        """The questions that shared calls hold, for `loom_ai.answers.multi_record`."""
        self._streaks = Streaks(self._clock)
        self._jitter = random.random
        self._under_way = CallsUnderWay(self._slots)
        self._price_list = PriceList(self.prices)
        self._look_up = Coalescer(self._get_group)
        self._write = Coalescer(self._put_group)

    async def complete(
        self, call: ModelCall, payer: Payer, reuse: Reuse | None = None, patience: float | None = None
    ) -> Settled:
        """Return the answer, which is durable in the journal when this returns. `patience` is how many seconds it may
        take from when it is its turn to be asked for.

        It is entered in the payer's usage, also where another record paid. Raises what client and journal raise,
        `Timeout`, `BudgetExhausted` where the payer's budget does not cover the call, `AnswersPending` where a batch
        answers it later, and `UpstreamUnusable` where this record is one of many in a row that got nothing of use.
        Being cancelled stops the waiting, not a call already paid."""
        reuse = reuse or Reuse()
        key = reuse.key(call, payer)
        batched = call.batch_deadline is not None and self._batches is not None
        if batched and await self.holds(key, payer, reuse) is None:
            call = await self._through_batch(key, call, payer, reuse)
        obtain = partial(self._obtain, key, call, payer, reuse)
        while True:
            try:
                pending, entry = await self._under_way.landed(key, call, payer, patience, obtain)
            except RecordError as refused:
                self._streaks.refused(call, payer, refused)
                raise
            except BudgetExhausted as spent:
                if _own(spent, payer):
                    raise
                continue
            if self._may_use(entry, payer, reuse):
                self._enter_usage(call, entry, payer)
                if entry.answer.cut_off and not pending.asked:
                    await self._budgeted.cut_off(key, call, payer)
                if pending.asked:
                    if batched and self._batches is not None:
                        await self._batches.answered(key)
                    self._streaks.answered(call, payer, entry.answer)
                return settled(entry, payer, fresh=pending.asked)

    async def pause(self, tried: int) -> None:
        """Before a question is asked once more that was answered `tried` times, each time with nothing of use."""
        await self._clock.sleep(pause_after(tried, self._jitter()))

    async def remember(self, pipeline: str, payer: Payer, call: ModelCall, output: Mapping[str, Any]) -> None:
        """Keep a good output as the record's last one, for `recall`. Costs nothing in the books."""
        await self.note(last_answer_of(pipeline, payer.record_id), payer, call, exact_json.dumps(output).decode())

    async def note(self, key: str, payer: Payer, call: ModelCall, text: str, purpose: str = NOTED) -> None:
        """Keep a text of one's own under a key of one's own. Costs nothing in the books."""
        answer = ModelAnswer(text, "stop", call.model, tokens_in=0, tokens_cached=0, tokens_out=0, latency=0.0)
        now = self._clock.now()
        await self._write(Entry(key, payer.named, purpose, call.provider, call.model, answer, 0.0, now, call.sealed))

    async def found(self, key: str, call: ModelCall, payer: Payer, reuse: Reuse) -> Settled | None:
        """Return what the journal holds under a key, where `reuse` lets the payer use it. An answer is entered in the
        payer's usage as if it were given now, unless another record of the same run paid for it."""
        entry = await self.holds(key, payer, reuse)
        if entry is None:
            return None
        own = entry.payer == payer or entry.payer.run_id != payer.run_id
        if entry.purpose != NOTED and own:
            self._enter_usage(call, entry, payer)
        return settled(entry, payer)

    async def holds(self, key: str, payer: Payer, reuse: Reuse) -> Entry | None:
        """Return what the journal holds under a key, where `reuse` lets the payer use it. Nothing is billed."""
        entry = await self._look_up(key)
        return entry if entry is not None and self._may_use(entry, payer, reuse) else None

    async def set_apart(self, run_id: str, judged: Mapping[str, float], usage: Usage) -> None:
        """Before a batch is asked about: set apart what judging its records will cost (USD, by the record's id), so
        that the batch can be finished once it is begun. Waits for batches under way. Only under a budget."""
        if self._reservations is not None and usage.budget is not None:
            owed = {name: usd for name, usd in judged.items() if usd}
            if owed:
                await self._reservations.set_apart(run_id, owed, usage.budget)

    async def judged(self, run_id: str, records: Sequence[str], usage: Usage, *, never: bool = False) -> None:
        """Records were judged, or never will be: the run's budget sets nothing apart for that any more."""
        if self._reservations is not None and usage.budget is not None and records:
            cost = None if never else sum(line.cost for line in usage.lines())
            await self._reservations.free(run_id, records, cost)

    async def recall(self, pipeline: str, payer: Payer, call: ModelCall) -> list[Entry]:
        """Recall what was answered before, at any age: to the same question, and last for the same record."""
        found = [await self._look_up(key) for key in (key_of(call), last_answer_of(pipeline, payer.record_id))]
        return [entry for entry in found if entry is not None]

    async def close(self) -> None:
        """Abandon what is in flight, then release client and journal."""
        tasks = self._under_way.abandoned()
        await asyncio.gather(*tasks, self._price_list.close(), return_exceptions=True)
        if self._batches is not None:
            await self._batches.close()
        if self._fleet is not None:
            await self._fleet.close()
        await self._look_up.close()
        await self._write.close()
        if self._reservations is not None:
            await self._reservations.close()
        await self._client.close()
        await self._journal.close()

    async def _through_batch(self, key: str, call: ModelCall, payer: Payer, reuse: Reuse) -> ModelCall:
        """Have a call answered by a batch, or return it as it is to be asked directly."""
        assert self._batches is not None
        budget = None if payer.usage is None else payer.usage.budget
        cut = await self._budgeted.cut_off(key, call, payer) if budget is not None else []
        return await self._batches.obtain(key, call, payer, reuse.max_age, cut)

    async def _obtain(self, key: str, call: ModelCall, payer: Payer, reuse: Reuse, pending: PendingCall) -> Entry:
        async def usable() -> Entry | None:
            return await self.holds(key, payer, reuse)

        if not self._at_batch_price and call.batch_deadline is not None:
            call = replace(call, batch_deadline=None)  # what is asked here is asked directly, whatever it costs
        # The journal is asked before the call waits to be begun, so that the questions of a batch are one look-up.
        entry = await usable()
        if entry is not None:
            return entry
        slots = self._slots.of(call).begun
        await pending.waiting.begin(slots)
        try:
            if self._fleet is None:
                return await self._asked(key, call, payer, pending)
            async with self._fleet.first(key, pending.payers, usable, pending.waiting) as entry:
                return entry or await self._asked(key, call, payer, pending)
        finally:
            slots.release()

    async def _asked(self, key: str, call: ModelCall, payer: Payer, pending: PendingCall) -> Entry:
        async with pending.waiting.under_way():
            with tracer().called(f"chat {call.model}", lambda: traced.question(call, payer)) as span:
                entry = await self._paid_for(key, call, payer, pending)
                span.set(lambda: traced.answer(entry))
        pending.asked = True
        self._enter_usage(call, entry, payer)
        return entry

    async def _paid_for(self, key: str, call: ModelCall, payer: Payer, pending: PendingCall) -> Entry:
        """Enter a new answer in the journal."""
        usage = payer.usage
        if usage is not None and usage.budget is not None:
            return await self._budgeted.paid_for(key, call, payer, pending, usage, usage.budget)
        own = None if usage is None else usage.prices
        self._price_list.soon(call, own)
        answer = await self._client.complete(call, pending.waiting)
        await self._price_list.loaded(call, own)
        return await self._written(key, call, payer, answer)

    async def _found(self, key: str) -> Entry | None:
        return await self._look_up(key)

    def _priced(self, call: ModelCall, payer: Payer, answer: ModelAnswer) -> float:
        return self.prices.of(call, answer, None if payer.usage is None else payer.usage.prices).usd

    async def _written(self, key: str, call: ModelCall, payer: Payer, answer: ModelAnswer) -> Entry:
        entry = Entry(
            key=key,
            payer=payer.named,
            purpose=call.purpose,
            provider=call.served_by or call.provider,
            model=call.model,
            answer=answer,
            cost=self._priced(call, payer, answer),
            created_at=self._clock.now(),
            sealed=call.sealed,
        )
        await self._write(entry)
        return entry

    def _enter_usage(self, call: ModelCall, entry: Entry, payer: Payer) -> None:
        """Enter an answer in the payer's usage: once for each record and answer, however often it is met."""
        usage = payer.usage
        if usage is not None and not usage.has(entry.key, payer.record_id, paid=entry.payer == payer):
            known = self.prices.knows(call, usage.prices, entry.answer.model)
            usage.enter(entry.key, payer.record_id, counted(entry, payer, known=known))

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


def _own(spent: BudgetExhausted, payer: Payer) -> bool:
    """Tell whether the budget that is exhausted is the payer's: a question of several runs is asked on one's account,
    and a run that was resumed may have more by now than when the question was begun."""
    budget = None if payer.usage is None else payer.usage.budget
    return budget is not None and budget.has(spent.account, spent.limit, payer.run_id)
