"""Loads batches that come at the same time in one transaction, because a transaction costs more than the rows of a
batch.

A batch that comes while nothing is written is written at once, with those that were delivered with it. Those that come
meanwhile wait for its end, and are then written together. Where that fails, each is written alone, so that only the
batch at fault fails.

Where one transaction at a time can write, and no more batches wait than it had, the next one waits for a moment for
those that come in their place: without that, every second transaction would have the first of them alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from loom_common.errors import LoomError
from loom_common.logs.logger import log
from loom_connectors.ports.destination import LoadBatch, LoadResult

MOST_ROWS = 1_000
"""So many rows do not wait for the transaction before: they are written beside it."""
AT_ONCE = 4
"""The number of transactions at the same time."""
TURNS = 10
"""Says for how many turns of the event loop a batch waits for others where nothing is written: no longer than it takes
to handle those that came from the broker in the same moment. Without that, the first of them would be written alone."""
MOST_ROWS_OF_ONE = 4_000
"""The most rows of a transaction where one at a time can write."""
REFILL_SECONDS = 0.005
"""Says how long such a transaction waits at most for as many batches as were there when the last one ended."""

Write = Callable[[Sequence[LoadBatch]], Awaitable[Sequence[LoadResult]]]
"""Writes batches of one run in one transaction. Returns what became of each."""


class _Waiting:
    """Represents a batch whose result somebody waits for."""

    def __init__(self, batch: LoadBatch) -> None:
        self.batch = batch
        self.result: asyncio.Future[LoadResult] = asyncio.get_running_loop().create_future()
        self.group: _Group | None = None


class _Group:
    """Represents batches that are written together, and the task that does it."""

    def __init__(self, members: Sequence[_Waiting], write: Write, tell: Callable[[Exception], None]) -> None:
        """`tell` is told why the batches could not be written together."""
        self.members = members
        self._tell_why = tell
        for each in members:
            each.group = self
        self.task = asyncio.create_task(self._settle(write))

    def see_whether_anyone_waits(self) -> None:
        """End the task where nobody waits for it any more."""
        if all(each.result.done() for each in self.members):
            self.task.cancel()

    async def _settle(self, write: Write) -> None:
        if len(self.members) > 1 and await self._written_together(write):
            return
        for each in self.members:
            try:
                if not each.result.done():
                    (result,) = await write([each.batch])
                    _tell(each, result)
            except Exception as error:  # noqa: BLE001 - it is raised where the batch is waited for
                if not each.result.done():
                    each.result.set_exception(error)

    async def _written_together(self, write: Write) -> bool:
        try:
            results = await write([each.batch for each in self.members])
        except Exception as error:  # noqa: BLE001 - each batch is written again, and raises what is its own
            self._tell_why(error)
            return False
        for each, result in zip(self.members, results, strict=True):
            _tell(each, result)
        return True


class GroupCommit:
    """Writes batches in groups by `write`."""

    def __init__(self, write: Write, *, one_writes: bool = False) -> None:
        """`one_writes` says that one transaction at a time can write: then none begins beside another."""
        self._write = write
        self._at_once, self._most_rows = (1, MOST_ROWS_OF_ONE) if one_writes else (AT_ONCE, MOST_ROWS)
        self._turns = 0 if one_writes else TURNS
        self._next_turn: asyncio.Handle | None = None
        """Is the turn of the event loop for which batches wait, where nothing is written."""
        self._refills = one_writes
        self._refill: asyncio.TimerHandle | None = None
        self._expected = 0
        """Says for how many batches is waited until the timer `_refill` fires."""
        self._waiting: list[_Waiting] = []
        self._groups: set[_Group] = set()
        self._told = False

    async def load(self, batch: LoadBatch) -> LoadResult:
        """Return what became of the batch. Raises what `write` raises for it."""
        waiting = _Waiting(batch)
        self._waiting.append(waiting)
        if self._groups:
            self._begin_groups()
        elif self._next_turn is None:
            self._begin_after(self._turns)
        try:
            return await waiting.result
        finally:
            if waiting.group is not None:
                waiting.group.see_whether_anyone_waits()
            elif waiting in self._waiting:
                self._waiting.remove(waiting)

    async def close(self) -> None:
        """End what is being written, and what waits to be."""
        self._end_refill()
        if self._next_turn is not None:
            self._next_turn.cancel()
            for each in self._waiting:
                each.result.cancel()
        tasks = [group.task for group in self._groups]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin_after(self, turns: int) -> None:
        """Begin groups after so many turns of the event loop, or as soon as there are rows enough for one."""
        if turns and not self._are_enough():
            self._next_turn = asyncio.get_running_loop().call_soon(self._begin_after, turns - 1)
        else:
            self._next_turn = None
            self._begin_groups()

    def _begin_groups(self) -> None:
        if self._refill is not None:
            if len(self._waiting) < self._expected:
                return
            self._end_refill()
        while self._waiting and (not self._groups or self._has_room()):
            members = next_group([each.batch for each in self._waiting], self._most_rows)
            group = _Group([self._waiting[place] for place in members], self._write, self._tell_once)
            self._waiting = [each for each in self._waiting if each.group is None]
            self._groups.add(group)
            group.task.add_done_callback(partial(self._ended, group))

    def _tell_once(self, error: Exception) -> None:
        """Write down why batches are written one by one: the first time as a warning, because it takes longer."""
        write = log.debug if self._told else log.warning
        self._told = True
        reason = (
            str(error) if isinstance(error, LoomError) else type(error).__name__
        )  # what drivers say may hold values
        write("batches could not be loaded together, and are loaded one by one", reason=reason)

    def _has_room(self) -> bool:
        """Tell whether what waits is written beside the transactions that are under way."""
        return len(self._groups) < self._at_once and self._are_enough()

    def _are_enough(self) -> bool:
        return sum(len(each.batch.rows) for each in self._waiting) >= self._most_rows

    def _ended(self, group: _Group, _: asyncio.Task[None]) -> None:
        self._groups.discard(group)
        for each in group.members:
            each.result.cancel()  # where the task was ended before it had one
        if self._refills and 1 < len(group.members) >= len(self._waiting):
            self._expected = len(self._waiting) + len(group.members)
            self._refill = asyncio.get_running_loop().call_later(REFILL_SECONDS, self._refilled)
        group.members = ()  # they refer to the group: rows in a cycle would stay until the next search for garbage
        self._begin_groups()

    def _refilled(self) -> None:
        self._end_refill()
        self._begin_groups()

    def _end_refill(self) -> None:
        if self._refill is not None:
            self._refill.cancel()
            self._refill = None


def next_group(batches: Sequence[LoadBatch], most_rows: int) -> list[int]:
    """Return the places of the batches that are written together next: of the run of the first one, up to `most_rows`
    rows, and none twice. A batch that was delivered twice finds itself in the ledger only in a later transaction.
    Pure."""
    places: list[int] = []
    names: set[str] = set()
    rows = 0
    for place, batch in enumerate(batches):
        if batch.run_id != batches[0].run_id or batch.batch_id in names:
            continue
        if places and rows + len(batch.rows) > most_rows:
            break
        places.append(place)
        names.add(batch.batch_id)
        rows += len(batch.rows)
    return places


def _tell(waiting: _Waiting, result: LoadResult) -> None:
    if not waiting.result.done():
        waiting.result.set_result(result)
