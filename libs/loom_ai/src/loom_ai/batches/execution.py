"""Has calls answered by the batches of their providers: what the journal asks (docs/adr/0028).

A call that the journal does not answer is entered as a waiting request, and its record's message comes again later. One
process looks after the batches of a place at a time; it writes the answers to the journal, where the records find
them."""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson
from cachetools import TTLCache

from loom_ai.batches.progress import told
from loom_ai.batches.protocols.support import see_that_it_speaks_batches
from loom_ai.batches.requests.encoding import size_of
from loom_ai.batches.requests.store import BatchStore
from loom_ai.batches.requests.values import BatchState, Request, RequestState, Reserved
from loom_ai.budget.reservations import BudgetReservations
from loom_ai.coalescing import Coalescer
from loom_ai.ports import Entry, ModelCall, Payer
from loom_ai.providers.access import key_reference
from loom_common.contracts.v1 import RunEpoch
from loom_common.domain.model_options.pricing import price_named
from loom_common.errors import AnswersPending, LoomError, PermanentError
from loom_common.logs.logger import log
from loom_common.ports.clock import Clock, SystemClock

if TYPE_CHECKING:
    from loom_ai.batches.owner import Owner


_TOLD_SECONDS = 2.0
_LEAST_WAIT, _MOST_WAIT = 5.0, 120.0
"""Seconds after which a record whose answer is awaited comes again: longer, the longer it has waited."""
_CLOSING_SECONDS, _LOOK_SECONDS = 10.0, 0.2
"""Says how long a process that ends waits until batches of a cancelled run are cancelled at their provider, and how
often it looks."""


class BatchExecution:
    """Implements `BatchAnswers` for one process."""

    def __init__(
        self,
        store: BatchStore,
        make_owner: Callable[[], Owner],
        reservations: BudgetReservations | None = None,
        clock: Clock | None = None,
    ) -> None:
        """`make_owner` makes what looks after batches. It is called in a thread at the first need, because it imports
        the HTTP client."""
        self._store = store
        self._make_owner = make_owner
        self._reservations = reservations
        self._clock = clock or SystemClock()
        self._find: Coalescer[str, Request | None] = Coalescer(self._find_group)
        self._gather: Coalescer[Request, bool] = Coalescer(self._gather_group)
        self._see: Coalescer[tuple[str, int], None] = Coalescer(self._see_group)
        self._told: TTLCache[str, str] = TTLCache(1000, _TOLD_SECONDS)
        self._owner: Owner | None = None
        self._owning: asyncio.Task[None] | None = None
        self._urgent: set[asyncio.Task[None]] = set()
        self._heard: dict[str, int] = {}

    async def obtain(
        self, key: str, call: ModelCall, payer: Payer, max_age: float | None, cut: Sequence[Entry] = ()
    ) -> ModelCall:
        see_that_it_speaks_batches(call.provider, call.served_by)
        attached = any(message.attachments for message in call.messages)
        if call.sealed or call.embedding or attached:  # what waits is text, and is not encrypted
            return replace(call, batch_deadline=None)
        found = await self._find(key)
        if found is not None and found.run_id != payer.run_id and await self._is_left_behind(found):
            await self._store.remove([found.key])
            await self._give_back(found)
            found = None
        if found is None:
            found = await self._entered(key, call, payer, max_age, cut)
        if found.state is RequestState.DIRECT:
            return replace(call, batch_deadline=None)
        if found.state is RequestState.REFUSED:
            await self._store.forget_refused(found.run_id)  # so that a resumed run submits them again
            raise PermanentError(found.problem or "The provider refused the batch.")
        if payer.usage is not None and found.run_id == payer.run_id and found.epoch < payer.usage.epoch:
            await self._see((key, payer.usage.epoch))
        self._begin()
        raise await self._pending(found)

    async def answered(self, key: str) -> None:
        await self._store.remove([key])

    async def hear(self, said: RunEpoch) -> None:
        """Take note of a run that was paused, resumed or cancelled. The batches of a cancelled run are cancelled at
        their provider."""
        if self._heard.get(said.run_id, 0) < said.epoch:
            await asyncio.shield(self._urgently(self._note(said)))

    async def close(self) -> None:
        deadline = asyncio.get_running_loop().time() + _CLOSING_SECONDS
        while self._urgent and (left := deadline - asyncio.get_running_loop().time()) > 0:
            await asyncio.wait(self._urgent, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        tasks = [*self._urgent, *([self._owning] if self._owning else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for each in (self._find, self._gather, self._see):
            await each.close()
        if self._owner is not None:
            await self._owner.close()
        await self._store.close()

    async def _note(self, said: RunEpoch) -> None:
        try:
            await self._store.heard(said.run_id, said.epoch, cancelled=said.cancelled)
            known = (await self._store.run(said.run_id)).epoch == said.epoch
        except LoomError as error:  # it is told again, and then it counts
            log.warning("batches do not know that a run was stopped", run_id=said.run_id, error=str(error))
            return
        self._heard[said.run_id] = said.epoch
        if known and said.cancelled:
            self._urgently(self._cancel_batches(said.run_id))

    def _urgently(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do what is still to be done when this process ends."""
        task = asyncio.create_task(work)
        self._urgent.add(task)
        task.add_done_callback(self._urgent.discard)
        return task

    async def _cancel_batches(self, run_id: str) -> None:
        """Look at the batches of a cancelled run until each is cancelled at its provider or has ended. Another process
        may be looking after them; where that one ends meanwhile, this one does it."""
        owner = await self._opened()
        deadline = self._clock.monotonic() + _CLOSING_SECONDS
        while self._clock.monotonic() < deadline:
            try:
                await owner.look(now=True)
                batches = (await self._store.standing(run_id)).batches
                if not any(each.state in (BatchState.SUBMITTING, BatchState.RUNNING) for each in batches):
                    return
            except LoomError as error:
                log.warning("batches of a cancelled run are cancelled later", run_id=run_id, error=str(error))
            await self._clock.sleep(_LOOK_SECONDS)

    async def _entered(
        self, key: str, call: ModelCall, payer: Payer, max_age: float | None, cut: Sequence[Entry]
    ) -> Request:
        """Enter a request, with what the run's budget reserves for it; return the one that is there already."""
        usage, now = payer.usage, self._clock.now()
        reserved, price, epoch = None, None, 0
        if usage is not None:
            epoch = usage.epoch
            price = price_named(usage.prices, call.served_by or call.provider, call.model)
            if usage.budget is not None:
                reserved = await self._reserved(call, payer, cut)
        request = Request(
            key=key,
            run_id=payer.run_id,
            record_id=payer.record_id,
            place=place_of(call, payer.run_id),
            call=call,
            created_at=now,
            deadline_at=_after(now, call.batch_deadline or 0.0),
            epoch=epoch,
            size=size_of(call),
            price=price,
            reserved=reserved,
            cut=len(cut),
            max_age=max_age,
        )
        if await self._gather(request):
            return request
        await self._give_back(request)
        return await self._find(key) or request  # it was answered meanwhile, and will be found in the journal

    async def _reserved(self, call: ModelCall, payer: Payer, cut: Sequence[Entry]) -> Reserved:
        usage = payer.usage
        if self._reservations is None or usage is None or usage.budget is None:
            raise PermanentError("The run has a budget, and this process has no ledger to keep it in.")
        beyond = 2 * max((each.answer.tokens_out for each in cut), default=0)
        held = await self._reservations.reserve_at_once(call, payer, usage.budget, usage, beyond)
        if held is None:
            self._begin()
            words = told(await self._store.standing(payer.run_id), call, self._clock.now())
            raise AnswersPending(f"{words}; the budget bears no more until it is answered", _LEAST_WAIT)
        claimed = held.claims[0]
        return Reserved(claimed.id, claimed.worst, held.limit)

    async def _give_back(self, request: Request) -> None:
        """Free what is reserved for a request that is not submitted."""
        if request.reserved is not None and self._reservations is not None:
            kept = request.reserved
            await self._reservations.settle_answered(
                kept.id, request.run_id, kept.worst, kept.limit, request.call, 0.0, None
            )

    async def _is_left_behind(self, found: Request) -> bool:
        """Tell whether another run entered the request, and neither submits it nor goes on."""
        if found.state not in (RequestState.GATHERED, RequestState.REFUSED):
            return False
        heard = await self._store.run(found.run_id)
        return found.state is RequestState.REFUSED or heard.cancelled or heard.epoch > found.epoch

    async def _pending(self, request: Request) -> AnswersPending:
        words = self._told.get(request.run_id)
        now = self._clock.now()
        if words is None:
            words = told(await self._store.standing(request.run_id), request.call, now)
            self._told[request.run_id] = words
        waited = (now - request.created_at).total_seconds()
        return AnswersPending(words, min(_MOST_WAIT, max(_LEAST_WAIT, waited / 4)))

    def _begin(self) -> None:
        """Begin to look after batches, unless that is under way. Raises the error that ended it last: whoever waits for
        an answer is told, instead of waiting for what nobody looks after. It begins anew at the next call."""
        ended, self._owning = self._owning, None
        if ended is not None and not ended.done():
            self._owning = ended
        elif ended is not None and not ended.cancelled() and (error := ended.exception()) is not None:
            raise error
        else:
            self._owning = asyncio.create_task(self._own())

    async def _own(self) -> None:
        owner = await self._opened()
        await owner.run()

    async def _opened(self) -> Owner:
        if self._owner is None:
            made = await asyncio.to_thread(self._make_owner)
            self._owner = self._owner or made
        return self._owner

    async def _find_group(self, keys: Sequence[str]) -> Sequence[Request | None]:
        found = await self._store.find(keys)
        return [found.get(key) for key in keys]

    async def _gather_group(self, requests: Sequence[Request]) -> Sequence[bool]:
        unlike = {each.key: each for each in requests}
        entered = await self._store.gather(list(unlike.values()))
        return [each.key in entered and unlike[each.key] is each for each in requests]

    async def _see_group(self, seen: Sequence[tuple[str, int]]) -> Sequence[None]:
        for epoch in {epoch for _, epoch in seen}:
            await self._store.see([key for key, of in seen if of == epoch], epoch)
        return [None] * len(seen)


def place_of(call: ModelCall, run_id: str) -> str:
    """Return the name of the requests that may share a batch: those of one run that are asked of one model at one
    endpoint with one key."""
    headers = dict(call.extras.headers)
    identity = [run_id, call.provider, call.base_url, call.model, key_reference(call), headers]
    return hashlib.sha256(orjson.dumps(identity, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _after(now: dt.datetime, seconds: float) -> dt.datetime:
    return now + dt.timedelta(seconds=seconds)
