"""Makes the calls of runs that have a budget: asked with a limit that the rest of the budget bears, and once more where
that cut off the answer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from loom_ai.budget.answer_sizes import Sizes, longest
from loom_ai.budget.reservations import BudgetReservations, Reservation
from loom_ai.journal.under_way.pending_call import PendingCall
from loom_ai.keys import cut_off, sizes_of
from loom_ai.ports import Entry, ModelAnswer, ModelCall, ModelClient, Payer
from loom_ai.wire import finish
from loom_common.domain.run.budget import Budget
from loom_common.errors import LoomError, PermanentError
from loom_common.worker.usage import Usage


@dataclass(frozen=True, slots=True)
class Books:
    """Holds the functions that find an answer, write it down, note a text, enter an answer in a payer's usage and
    price it."""

    find: Callable[[str], Awaitable[Entry | None]]
    note: Callable[[str, Payer, ModelCall, str], Awaitable[None]]
    write: Callable[[str, ModelCall, Payer, ModelAnswer], Awaitable[Entry]]
    enter_usage: Callable[[ModelCall, Entry, Payer], None]
    price: Callable[[ModelCall, Payer, ModelAnswer], float]
    """Returns what an answer costs, in USD."""


class BudgetedCalls:
    """Makes the calls of one process. Where `reservations` is None, a run that has a budget fails."""

    def __init__(self, client: ModelClient, reservations: BudgetReservations | None, books: Books) -> None:
        self._client = client
        self._reservations = reservations
        self._books = books

    async def paid_for(
        self, key: str, call: ModelCall, payer: Payer, pending: PendingCall, usage: Usage, budget: Budget
    ) -> Entry:
        """Enter a new answer in the journal. Its worst case is reserved before, and settled after.

        Raises what `BudgetReservations.reserve` and the client raise."""
        if self._reservations is None:
            raise PermanentError("The run has a budget, and this process has no ledger to keep it in.")
        cut = await self.cut_off(key, call, payer)
        sizes = self._reservations.sizes(call, payer.run_id)
        await self._recall(sizes, call, payer)
        while not cut or call.max_tokens is not None or cut[-1].answer.tokens_out < longest(call):
            beyond = 2 * max((each.answer.tokens_out for each in cut), default=0)
            reservation = await self._reservations.reserve(
                call, payer, lambda: pending.budget or budget, usage, pending.waiting, beyond
            )
            answer = replace(await self._asked(self._reservations, reservation, call, payer, pending), cut_off=len(cut))
            lowered = call.max_tokens is None or reservation.limit < call.max_tokens
            if not lowered or answer.finish_reason != finish.CUT_OFF:
                entry = await self._books.write(key, call, payer, answer)
                await self._note(sizes, call, payer)
                return entry
            # Cut off by a limit that the pipeline did not set: paid for, but no answer to the question.
            cut.append(await self._books.write(cut_off(key, len(cut)), call, payer, answer))
            self._books.enter_usage(call, cut[-1], payer)
        return cut[-1]

    async def cut_off(self, key: str, call: ModelCall, payer: Payer) -> list[Entry]:
        """Answers to the question of that key that lowered limits cut off, in their order. They are entered in the
        usage of the record that paid for them."""
        found: list[Entry] = []
        while (entry := await self._books.find(cut_off(key, len(found)))) is not None:
            found.append(entry)
            if self._reservations is not None:
                self._reservations.sizes(call, payer.run_id).learn(call, entry.answer)
            if entry.payer == payer:
                self._books.enter_usage(call, entry, payer)
        return found

    async def _recall(self, sizes: Sizes, call: ModelCall, payer: Payer) -> None:
        """Before the first call of its kind in this process, learn what the run's earlier answers were like. Otherwise
        a resumed run would reserve for its first calls as if none had been answered, which its budget may not bear."""
        if not sizes.recalled:
            noted = await self._books.find(sizes_of(call, payer.run_id))
            if not sizes.recalled:
                sizes.recall(None if noted is None else noted.answer.text)

    async def _note(self, sizes: Sizes, call: ModelCall, payer: Payer) -> None:
        """Note what was learned, for `_recall` in another process. Where that fails, only a later call is reserved for
        too generously; the answer at hand is written already."""
        if (noted := sizes.to_note()) is not None:
            with contextlib.suppress(LoomError):
                await self._books.note(sizes_of(call, payer.run_id), payer, call, noted)

    async def _asked(
        self,
        reservations: BudgetReservations,
        reservation: Reservation,
        call: ModelCall,
        payer: Payer,
        pending: PendingCall,
    ) -> ModelAnswer:
        """Return the answer to the call with the reservation's limit. The reservation is settled, whatever comes of it,
        but for a call that was cancelled after it was sent: it may have been charged."""
        try:
            answer = await self._client.complete(replace(call, max_tokens=reservation.limit), pending.waiting)
        except asyncio.CancelledError:
            if pending.waiting.idle:  # it waited for its turn, and was never sent
                await reservations.settle(reservation, call, 0.0, None)
            raise
        except Exception:
            await reservations.settle(reservation, call, 0.0, None)
            raise
        await reservations.settle(reservation, call, self._books.price(call, payer, answer), answer)
        return answer
