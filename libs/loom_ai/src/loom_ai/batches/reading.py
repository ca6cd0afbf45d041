"""Asks providers how far batches are, and writes their results to the journal."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from cachetools import LRUCache

from loom_ai.batches.forms import Forms
from loom_ai.batches.protocols.protocol import protocol_of
from loom_ai.batches.requests.client import BatchClient, BatchRefused
from loom_ai.batches.requests.store import BatchStore
from loom_ai.batches.requests.values import Batch, BatchState, End, Outcome, Request, RequestState, Result, Status
from loom_ai.batches.submission import Submission
from loom_ai.batches.ways import way_of
from loom_ai.budget.answer_sizes import longest
from loom_ai.budget.prices import Prices
from loom_ai.budget.reservations import BudgetReservations
from loom_ai.http.http_errors import EndpointReference, refusal
from loom_ai.http.received import Received, read_answer
from loom_ai.keys import cut_off
from loom_ai.ports import Entry, Journal, ModelAnswer, ModelCall, Payer
from loom_ai.providers.access import key_reference
from loom_ai.wire import finish
from loom_ai.wire.wires import wire_of
from loom_common.errors import DependencyUnavailable, LoomError, RecordError, Timeout
from loom_common.http.bodies import Body
from loom_common.logs.logger import log
from loom_common.ports.clock import Clock
from loom_common.resilience import failpoints

_GROUP = 200
"""Results that are written to the journal as one transaction."""
_MOST_READS = 3
"""Says how often results are read that lack requests of a batch which is complete, before those count as missing."""
_ID = re.compile(r"\b(?=\w*\d)[\w-]{8,}\b")
"""Matches what differs from one refusal to the next, e.g. the id of a request."""
_OUTCOME_OF_END = {End.EXPIRED: Outcome.EXPIRED, End.CANCELLED: Outcome.CANCELLED}


class _Read(NamedTuple):
    """Holds a result, its request, and what was made of it: an answer, or the error that it states."""

    request: Request
    result: Result
    answer: ModelAnswer | None
    error: LoomError | None = None


class Reading:
    """Reads the results of the batches of one process."""

    def __init__(
        self,
        store: BatchStore,
        journal: Journal,
        reservations: BudgetReservations | None,
        prices: Prices,
        forms: Forms,
        submission: Submission,
        client: Callable[[ModelCall], BatchClient],
        clock: Clock,
    ) -> None:
        self._store = store
        self._journal = journal
        self._reservations = reservations
        self._prices = prices
        self._forms = forms
        self._submission = submission
        self._client = client
        self._clock = clock
        self._learned: LRUCache[str, set[str]] = LRUCache(100)
        """Refusals that were learned from, by the batch that they stand in."""

    async def poll(self, batch: Batch) -> None:
        """Ask how far a batch is. It is cancelled where its deadline has passed or its run was cancelled; what it has
        answered until then is kept. Raises `LoomError` where the provider does not say."""
        status = await self._status(batch)
        if status is None:
            return
        await failpoints.reach("after_batch_poll")
        if status.end is None:
            await self._store.change(batch.id, done=status.done, problem=None)
            if batch.state is BatchState.RUNNING and (self._is_overdue(batch) or await self._is_cancelled(batch)):
                await self._cancel(batch)
        elif status.end is End.FAILED:
            problem = status.problem or "without a reason"
            if status.too_much:
                await self._submission.wait(batch, problem)
            else:
                await self._submission.refuse(
                    batch, f"The provider did not begin the batch {batch.provider_id}: {problem}"
                )
        else:
            await self._store.change(batch.id, state=BatchState.READING, done=status.done, problem=None)
            await self._read(replace(batch, state=BatchState.READING), status)

    async def read(self, batch: Batch) -> None:
        """Read the results of a batch that has ended, once more from their beginning. What was written before is known
        by its request, which is no part of the batch any more."""
        status = await self._status(batch)
        if status is not None and status.end is not None:
            await self._read(batch, status)

    async def _read(self, batch: Batch, status: Status) -> None:
        await self._store.change(batch.id, reads=batch.reads + 1)
        group: dict[str, Result] = {}
        try:
            async for result in protocol_of(batch.call.provider).results(self._client(batch.call), batch, status):
                group.setdefault(result.key, result)  # of two results with one name, the first counts
                if len(group) >= _GROUP:
                    await self._take(batch, group)
                    group = {}
            await self._take(batch, group)
        except BatchRefused as refused:
            await self._take(batch, group)
            if not self._is_overdue(batch):
                raise DependencyUnavailable(str(refused.error)) from refused
        except (DependencyUnavailable, Timeout):
            await self._take(batch, group)
            if not self._is_overdue(batch):
                raise
        await self._end(batch, status)

    async def _end(self, batch: Batch, status: Status) -> None:
        """Decide about the requests that the results do not mention, and end the batch."""
        outcome = _OUTCOME_OF_END.get(status.end or End.COMPLETED)
        while rest := await self._store.requests_of(batch.id, "", _GROUP):
            if outcome is None and batch.reads + 1 < _MOST_READS and not self._is_overdue(batch):
                raise DependencyUnavailable(
                    f"The results of batch {batch.provider_id} are not whole. They are read again."
                )
            await self._go_their_ways(batch, [(each, outcome, 0, False) for each in rest])
        await self._store.change(batch.id, state=BatchState.DONE, problem=None)
        await failpoints.reach("after_batch_answers")

    async def _take(self, batch: Batch, group: dict[str, Result]) -> None:
        """Write the answers of some results to the journal, then end their requests."""
        if not group:
            return
        requests = await self._store.requests_named(batch.id, list(group))
        if unknown := len(group) - len(requests):
            log.debug("results of no waiting request are left out", batch=batch.id, results=unknown)
        seconds = (self._clock.now() - (batch.attempted_at or batch.created_at)).total_seconds()
        read = [_read(requests[key], result, seconds) for key, result in group.items() if key in requests]
        answered = [(each, each.answer) for each in read if each.answer is not None]
        entries = [self._entry(each.request, answer) for each, answer in answered]
        if entries:
            await self._journal.put_many(entries)
            await failpoints.reach("between_batch_results")
            gone = await self._store.remove([each.request.key for each, _ in answered], batch.id)
            for (each, answer), entry in zip(answered, entries, strict=True):
                if each.request.key in gone:
                    self._forms.answered(each.request.asked)
                    await self._settle(each.request, entry.cost, answer)
        await self._go_their_ways(batch, self._unanswered(batch, read))

    def _unanswered(self, batch: Batch, read: Sequence[_Read]) -> list[tuple[Request, Outcome | None, int, bool]]:
        """Return the requests without an answer, with how they ended. That an endpoint does not take a parameter is
        learned from the first one, and holds for all that were asked alike."""
        learned = self._learned.setdefault(batch.id, set())
        rest: list[tuple[Request, Outcome | None, int, bool]] = []
        for each in read:
            if each.answer is not None:
                continue
            words = _ID.sub("#", str(each.error))
            if (
                words not in learned
                and isinstance(each.error, RecordError)
                and self._forms.learn(each.request.asked, each.error)
            ):
                learned.add(words)
            rest.append((each.request, each.result.outcome, each.result.status, words in learned))
        return rest

    async def _go_their_ways(self, batch: Batch, rest: Sequence[tuple[Request, Outcome | None, int, bool]]) -> None:
        ways: dict[tuple[RequestState, bool], list[str]] = {}
        now = self._clock.now()
        for request, outcome, status, learned in rest:
            overdue = now >= request.deadline_at
            way = way_of(outcome, status, request.tries, overdue=overdue, learned=learned)
            ways.setdefault((way.state, way.tried), []).append(request.key)
            if way.state is RequestState.DIRECT:
                await self._settle(request, 0.0, None)
        for (state, tried), keys in ways.items():
            await self._store.release(keys, batch.id, state, tried=tried)

    def _entry(self, request: Request, answer: ModelAnswer) -> Entry:
        """Return the answer as the journal keeps it: under the key of a direct call. One that was cut off by a limit
        which the budget had lowered is no answer to the question, and is kept as such."""
        call = request.call
        lowered = request.reserved is not None and (call.max_tokens is None or request.reserved.limit < longest(call))
        cut = lowered and answer.finish_reason == finish.CUT_OFF
        own = None if request.price is None else {call.model: request.price}
        return Entry(
            key=cut_off(request.key, request.cut) if cut else request.key,
            payer=Payer(request.run_id, request.record_id),
            purpose=call.purpose,
            provider=call.served_by or call.provider,
            model=call.model,
            answer=replace(answer, cut_off=request.cut),
            cost=self._prices.of(call, answer, own).usd,
            created_at=self._clock.now(),
        )

    async def _settle(self, request: Request, cost: float, answer: ModelAnswer | None) -> None:
        if request.reserved is not None and self._reservations is not None:
            kept = request.reserved
            await self._reservations.settle_answered(
                kept.id, request.run_id, kept.worst, kept.limit, request.call, cost, answer
            )

    async def _status(self, batch: Batch) -> Status | None:
        """Return how far a batch is; None where its provider does not know it, and its run was ended because the
        deadline has passed. Its requests may be paid for, so nobody but the operator has them asked again."""
        try:
            return await protocol_of(batch.call.provider).status(self._client(batch.call), batch)
        except BatchRefused as refused:
            if refused.status != 404:
                raise DependencyUnavailable(str(refused.error)) from refused
            key = key_reference(batch.call) or "none"
            problem = f"The provider does not show the batch {batch.provider_id} to the key {key}."
            if not self._is_overdue(batch):
                remedy = "Put back a key of the project that submitted it; after the deadline the run fails."
                raise DependencyUnavailable(f"{problem} {remedy}") from refused
            log.warning("a batch is given up", batch=batch.id, provider_id=batch.provider_id)
        await self._submission.refuse(
            batch,
            f"{problem} Its deadline has passed. It may have been answered and charged, so its requests are not asked "
            "again by themselves: to have them asked, and perhaps paid for, a second time, resume the run.",
        )
        return None

    async def _cancel(self, batch: Batch) -> None:
        try:
            await protocol_of(batch.call.provider).cancel(self._client(batch.call), batch)
        except BatchRefused as refused:
            log.info("a batch could not be cancelled", batch=batch.id, error=str(refused))  # it has ended meanwhile
            return
        await self._store.change(batch.id, state=BatchState.CANCELLING)

    async def _is_cancelled(self, batch: Batch) -> bool:
        return (await self._store.run(batch.run_id)).cancelled

    def _is_overdue(self, batch: Batch) -> bool:
        return self._clock.now() >= batch.deadline_at


def _read(request: Request, result: Result, seconds: float) -> _Read:
    """Return what a result says, read as a response of the provider would be. `seconds` is how long it took."""
    call = request.asked
    endpoint = EndpointReference(call.base_url, call.model, key_reference(call))
    if result.outcome is Outcome.ERROR:
        return _Read(request, result, None, refusal(result.status, result.body, endpoint))
    if result.outcome is not Outcome.ANSWERED:
        return _Read(request, result, None)
    try:
        return _Read(
            request, result, read_answer(wire_of(call.provider), Received(Body(result.body), call, endpoint, seconds))
        )
    except LoomError as error:  # an error inside a response that says it is none
        status = 400 if isinstance(error, RecordError) else 500
        return _Read(request, replace(result, outcome=Outcome.ERROR, status=status), None, error)
