"""Shows records that were kept back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from loom.views.state import StateViews

if TYPE_CHECKING:
    from loom.kept_record import RecordStory
    from loom_quarantine import queries
    from loom_quarantine.queries import RecordFilter

_PAGE = 1000
"""Quarantined records read at once."""


class QuarantineViews(StateViews):
    """Shows records that were kept back."""

    async def replayable(self, chosen: RecordFilter) -> queries.Standing:
        """Tell which of the records chosen a replay would take up, and why it would not take the others."""
        from loom_quarantine import queries

        return await queries.standing(self._engine, chosen)

    async def quarantined(
        self, chosen: RecordFilter | None = None, limit: int | None = 50
    ) -> list[queries.ListedRecord]:
        """Return records that did not get through, newest first, with stage, reason, data and scores."""
        from loom_quarantine import queries
        from loom_quarantine.queries import RecordFilter

        return await queries.listing(self._engine, chosen or RecordFilter(), limit)

    async def quarantined_number(self, chosen: RecordFilter) -> int:
        """Return how many records are chosen."""
        from loom_quarantine import queries

        return await queries.number_of(self._engine, chosen)

    async def quarantined_ids(self, chosen: RecordFilter) -> tuple[str, ...]:
        """Return the ids of all records chosen."""
        from loom_quarantine import queries

        return await queries.ids(self._engine, chosen)

    async def quarantined_whole(self, chosen: RecordFilter) -> AsyncIterator[queries.WholeRecord]:
        """Yield every column of every record chosen, newest first, a page at a time."""
        before = None
        while page := await self.quarantine_page(chosen, _PAGE, before):
            for row in page:
                yield row
            before = page[-1].id

    async def quarantine_page(
        self, chosen: RecordFilter, limit: int, before: int | None = None
    ) -> list[queries.WholeRecord]:
        """Return a page of the records chosen with every column, newest first."""
        from loom_quarantine import queries

        return await queries.whole(self._engine, chosen, limit, before)

    async def quarantine_stats(self, chosen: RecordFilter, newest: int | None = None) -> list[queries.CauseCount]:
        """Count how many records did not get through for what, and what became of them: of all, or of the `newest` so
        many."""
        from loom_quarantine import queries

        return await queries.stats(self._engine, chosen, newest)

    async def quarantined_record(self, record_id: str, run_id: str | None = None) -> RecordStory | None:
        """Return all that is known of one record that did not get through; None where there is none."""
        from loom import kept_record  # it opens the plan's and the journal's stores, which no other view needs

        return await kept_record.story(self._engine, self._config, record_id, run_id)

    async def revealed_record(self, record_id: str, run_id: str | None = None) -> RecordStory | None:
        """Return the same with sensitive fields in clear. Raises `ConfigurationError` and `PermanentError` where their
        key cannot be used here."""
        from loom import kept_record

        return await kept_record.story(self._engine, self._config, record_id, run_id, reveal=True)
