"""Makes batches of gathered requests and submits them, each exactly once.

What is about to be done is written down before it is done. After a crash a batch that was only intended is submitted;
one whose submission had begun is first looked for at the provider."""

from __future__ import annotations

import datetime as dt
import re
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import IO
from uuid import uuid4

from loom_ai.batches.forms import Forms
from loom_ai.batches.protocols.protocol import BatchProtocol, protocol_of
from loom_ai.batches.requests.client import BatchClient, BatchRefused, NotSent
from loom_ai.batches.requests.store import BatchStore, Gathered
from loom_ai.batches.requests.values import Batch, BatchState, Limits, Request, RequestState
from loom_ai.budget.reservations import BudgetReservations
from loom_ai.ports import Entry, Journal, ModelCall
from loom_ai.settings import BatchSettings
from loom_common.errors import DependencyUnavailable
from loom_common.logs.logger import log
from loom_common.ports.clock import Clock
from loom_common.resilience import failpoints

_PAGE = 200
_LONGEST_GATHERING = 20
"""Says how many times the usual gathering time requests may be gathered, while more keep coming."""
_WAIT_SECONDS = 60.0
"""Says how long a place waits after its provider had too many requests, where it does not say how long."""
_TOO_LARGE = re.compile(r"payload size exceeds", re.IGNORECASE)
"""Matches how Google says that a document is too large, with the status of a request that is wrong."""
_OFTEN = frozenset({408, 409, 425, 429})


class Submission:
    """Submits the batches of one process."""

    def __init__(
        self,
        store: BatchStore,
        journal: Journal,
        reservations: BudgetReservations | None,
        forms: Forms,
        client: Callable[[ModelCall], BatchClient],
        clock: Clock,
        settings: BatchSettings,
    ) -> None:
        self._store = store
        self._journal = journal
        self._reservations = reservations
        self._forms = forms
        self._client = client
        self._clock = clock
        self._settings = settings
        self._limits: dict[str, Limits] = {}
        """Limits that a provider was found to have below those that it states, by place."""
        self._not_before: dict[str, float] = {}
        """Says when a place may submit again, in seconds of the clock."""

    async def next(self, place: str) -> Batch | None:
        """Return the next batch of a place, which is intended now; None where nothing is to be submitted yet."""
        if self._clock.monotonic() < self._not_before.get(place, 0.0):
            return None
        gathered = await self._store.gathered(place)
        if not gathered.count:
            return None
        first = (await self._store.sample(place, "", 1))[:1]
        if not first or not self._is_ready(gathered, self._limits_of(place, first[0].call)):
            return None
        keys, deadline = await self._unanswered(place, self._limits_of(place, first[0].call))
        if not keys:
            return None
        await failpoints.reach("before_batch_intent")
        batch = Batch(
            id=uuid4().hex,
            run_id=first[0].run_id,
            place=place,
            state=BatchState.INTENDED,
            call=first[0].call,
            requests=len(keys),
            created_at=self._clock.now(),
            deadline_at=deadline,
        )
        intended = await self._store.intend(batch, keys)
        await failpoints.reach("after_batch_intent")
        return intended

    async def submit(self, batch: Batch) -> None:
        """Submit a batch that is intended. Raises `LoomError` where that has to be tried again."""
        if self._clock.monotonic() < self._not_before.get(batch.place, 0.0):
            return
        if (await self._store.run(batch.run_id)).cancelled:
            await self._put_back(batch, RequestState.GATHERED)
            return
        protocol, client = protocol_of(batch.call.provider), self._client(batch.call)
        with tempfile.TemporaryFile() as requests:
            written = await self._write(batch, protocol, requests)
            if not written:
                await self._store.change(batch.id, state=BatchState.DONE)
                return
            if written != batch.requests:
                await self._store.change(batch.id, requests=written)
                batch = replace(batch, requests=written)
            try:
                prepared = await protocol.prepare(client, batch, requests)
            except BatchRefused as refused:
                await self._refused(batch, refused, paid_for=False)
                return
            await self._store.change(batch.id, state=BatchState.SUBMITTING, attempted_at=self._clock.now())
            await failpoints.reach("before_batch_submission")
            try:
                provider_id = await protocol.submit(client, batch, requests, prepared)
            except BatchRefused as refused:
                await self._refused(batch, refused, paid_for=True)
                return
            except NotSent:
                await self._store.change(batch.id, state=BatchState.INTENDED)
                raise
        await failpoints.reach("after_batch_submission")
        await self._is_there(batch, provider_id)

    async def recover(self, batch: Batch) -> None:
        """Find out whether a batch was submitted. It is submitted again only where the provider does not list it, and
        the time is over in which its submission may still arrive."""
        protocol, client = protocol_of(batch.call.provider), self._client(batch.call)
        names = frozenset[str]().union(*[[each.key for each in page] async for page in self._pages(batch)])
        known = await self._store.known(batch.place)
        try:
            found = await protocol.find(client, replace(batch, names=names), known)
        except BatchRefused as refused:
            raise refused.error from refused
        if found.provider_id is not None:
            log.info("a batch was found again", batch=batch.id, provider_id=found.provider_id)
            await self._is_there(batch, found.provider_id)
            return
        since = batch.attempted_at or batch.created_at
        if found.sure and (self._clock.now() - since).total_seconds() > self._settings.submit_seconds:
            log.info("a batch was not submitted, and is submitted now", batch=batch.id)
            await self._store.change(batch.id, state=BatchState.INTENDED)
            return
        await self._store.change(
            batch.id, problem="Its submission was interrupted: it is looked for before it is submitted again."
        )

    async def give_up(self, place: str) -> None:
        """Have gathered requests asked directly whose deadline has passed."""
        for late in await self._store.overdue(place):
            await self._give_back(late)

    async def _is_there(self, batch: Batch, provider_id: str) -> None:
        await self._store.change(batch.id, state=BatchState.RUNNING, provider_id=provider_id, problem=None)

    def _is_ready(self, gathered: Gathered, limits: Limits) -> bool:
        """Tell whether gathered requests are to be submitted: they fill a batch, or none came for a while."""
        if gathered.count >= limits.requests or gathered.size >= limits.size:
            return True
        if gathered.newest is None or gathered.oldest is None:
            return False
        now, quiet = self._clock.now(), dt.timedelta(seconds=self._settings.gather_seconds)
        return now - gathered.newest >= quiet or now - gathered.oldest >= _LONGEST_GATHERING * quiet

    async def _unanswered(self, place: str, limits: Limits) -> tuple[list[str], dt.datetime]:
        """Return the keys of the requests of the next batch, and the first of their deadlines. Those that the journal
        answers by now are removed: another run, or another process, was answered since they were entered. No more than
        the keys is held of them, because a batch may have 100,000."""
        chosen: list[str] = []
        deadline = dt.datetime.max.replace(tzinfo=dt.UTC)
        size, after = 0, ""
        while len(chosen) < limits.requests:
            page = await self._store.sample(place, after, min(_PAGE, limits.requests - len(chosen)))
            if not page:
                break
            after = page[-1].key
            answers = await self._journal.get_many([each.key for each in page])
            answered = [each for each in page if self._may_use(each, answers.get(each.key))]
            for each in answered:
                await self._give_back(each)
            if answered:
                await self._store.remove([each.key for each in answered])
            gone = {each.key for each in answered}
            for each in page:
                if each.key not in gone:
                    size += each.size
                    if size > limits.size and chosen:
                        return chosen, deadline
                    chosen.append(each.key)
                    deadline = min(deadline, each.deadline_at)
        return chosen, deadline

    def _may_use(self, request: Request, entry: Entry | None) -> bool:
        if entry is None:
            return False
        if entry.payer.run_id == request.run_id or request.max_age is None:
            return True
        return (request.created_at - entry.created_at).total_seconds() < request.max_age

    async def _write(self, batch: Batch, protocol: BatchProtocol, requests: IO[bytes]) -> int:
        """Write the requests of a batch as they are submitted, and return how many they are."""
        number = 0
        async for page in self._pages(batch):
            for each in page:
                requests.write(protocol.line(each.key, self._forms.body(each.asked), each.asked))
            number += len(page)
        return number

    async def _pages(self, batch: Batch) -> AsyncIterator[list[Request]]:
        after = ""
        while page := list(await self._store.requests_of(batch.id, after, _PAGE)):
            after = page[-1].key
            yield page

    async def _refused(self, batch: Batch, refused: BatchRefused, *, paid_for: bool) -> None:
        """Decide what follows from a refused submission. Raises `LoomError` where it is tried again."""
        if refused.status == 413 or (refused.status == 400 and _TOO_LARGE.search(str(refused.error))):
            await self._halve(batch, refused)
            return
        if refused.status >= 500 or refused.status in _OFTEN:
            wait = refused.retry_after or _WAIT_SECONDS
            self._not_before[batch.place] = self._clock.monotonic() + wait
            if paid_for and refused.status != 429:
                raise DependencyUnavailable(str(refused.error)) from refused  # it may have been accepted all the same
            await self._store.change(batch.id, state=BatchState.INTENDED, problem=str(refused.error)[:2000])
            return
        await self.refuse(batch, str(refused.error))

    async def refuse(self, batch: Batch, problem: str) -> None:
        """End a batch that its provider does not take: its run cannot go on until somebody has changed something."""
        await self._put_back(batch, RequestState.REFUSED, problem)

    async def _halve(self, batch: Batch, refused: BatchRefused) -> None:
        if batch.requests <= 1:
            await self._put_back(batch, RequestState.DIRECT)
            return
        log.warning("a batch is too large for its provider", batch=batch.id, requests=batch.requests)
        self._limits[batch.place] = Limits(batch.requests // 2, protocol_of(batch.call.provider).limits.size)
        await self._put_back(batch, RequestState.GATHERED, str(refused.error))

    async def wait(self, batch: Batch, problem: str) -> None:
        """Put the requests of a batch back that its provider had no room for, to be submitted in smaller batches."""
        self._not_before[batch.place] = self._clock.monotonic() + _WAIT_SECONDS
        size = protocol_of(batch.call.provider).limits.size
        self._limits[batch.place] = Limits(max(1, batch.requests // 2), size)
        await self._put_back(batch, RequestState.GATHERED, problem)

    async def _put_back(self, batch: Batch, state: RequestState, problem: str | None = None) -> None:
        """Take all requests out of a batch that was not submitted, or not begun."""
        async for page in self._pages(batch):
            if state is not RequestState.GATHERED:
                for each in page:
                    await self._give_back(each)
            kept = problem if state is RequestState.REFUSED else None
            await self._store.release([each.key for each in page], batch.id, state, problem=kept)
        await self._store.change(batch.id, state=BatchState.DONE, problem=problem)

    async def _give_back(self, request: Request) -> None:
        """Free what is reserved for a request that no batch answers."""
        if request.reserved is not None and self._reservations is not None:
            kept = request.reserved
            await self._reservations.settle_answered(
                kept.id, request.run_id, kept.worst, kept.limit, request.call, 0.0, None
            )

    def _limits_of(self, place: str, call: ModelCall) -> Limits:
        return self._limits.get(place) or protocol_of(call.provider).limits
