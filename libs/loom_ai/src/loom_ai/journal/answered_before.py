"""Asks models nothing: what was answered before comes from the journal, and everything else has no answer.

With it a transform makes the outputs of an earlier run again, by the same questions, and cannot pay for one."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from loom_ai.journal.models import JournalledModels
from loom_ai.ports import NOTED, Entry, Journal, Kept, ModelAnswer, ModelCall, Waits
from loom_common.errors import RecordError
from loom_common.ports.clock import Clock

NO_ANSWER = "no_answer_kept"
"""The code of a record whose question the journal does not answer."""


def answered_before(journal: Journal, until: dt.datetime, clock: Clock | None = None) -> JournalledModels:
    """Return models that answer what the journal held at the time `until`, and ask nobody. The journal is closed with
    them."""
    models = JournalledModels(_Silent(), _AsOf(journal, until), clock=clock)
    models.tools = "refused"
    return models


class _Silent:
    """Implements a `ModelClient` that no question reaches."""

    async def complete(self, call: ModelCall, waits: Waits | None = None) -> ModelAnswer:
        raise RecordError(f"The journal no longer holds the answer of {call.model} to this question", code=NO_ANSWER)

    async def close(self) -> None:
        """Do nothing: no connection is ever opened."""


class _AsOf:
    """Implements a `Journal` that shows another one as it was at one time, and writes nothing to it. An answer that is
    younger took the place of one that the run had."""

    def __init__(self, journal: Journal, until: dt.datetime) -> None:
        self._journal = journal
        self._until = until

    async def get_many(self, keys: Sequence[str]) -> dict[str, Entry]:
        found = await self._journal.get_many(keys)
        return {key: entry for key, entry in found.items() if entry.created_at <= self._until}

    async def put_many(self, entries: Sequence[Entry]) -> None:
        """Keep nothing."""

    async def kept(self) -> list[Kept]:
        return await self._journal.kept()

    async def clear(self, before: dt.datetime | None = None, model: str | None = None) -> int:
        return await self._journal.clear(before, model)

    async def close(self) -> None:
        await self._journal.close()


class PaidAnswersOnly:
    """Implements a `Journal` that keeps answers and no notes: who judges an earlier run's outputs again must not count
    as a run of its own to those that note their outputs."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def get_many(self, keys: Sequence[str]) -> dict[str, Entry]:
        return await self._journal.get_many(keys)

    async def put_many(self, entries: Sequence[Entry]) -> None:
        if paid := [entry for entry in entries if entry.purpose != NOTED]:
            await self._journal.put_many(paid)

    async def kept(self) -> list[Kept]:
        return await self._journal.kept()

    async def clear(self, before: dt.datetime | None = None, model: str | None = None) -> int:
        return await self._journal.clear(before, model)

    async def close(self) -> None:
        await self._journal.close()
