"""Asks for records that were kept back: without their contents, where these may not be seen."""

from __future__ import annotations

from dataclasses import replace

from loom.kept_record import RecordStory
from loom_api.reads.seen import SeenReads
from loom_common.domain.access import Action, Kind
from loom_common.errors import NotFound
from loom_quarantine.queries import CauseCount, RecordFilter, Standing, WholeRecord

MASKED = "hidden: it may quote contents, which `read_data` of the pipeline's quarantine shows"
"""Stands in the place of a reason that may not be seen."""


class QuarantineReads(SeenReads):
    """Asks for records that were kept back."""

    async def replayable(self, chosen: RecordFilter) -> Standing:
        """Tell which of the records chosen a replay would take up."""
        among = await self.visible(Kind.QUARANTINE, Action.REPLAY)
        return await super().replayable(replace(chosen, among=among))

    async def quarantine_page(self, chosen: RecordFilter, limit: int, before: int | None = None) -> list[WholeRecord]:
        """Return a page of the records chosen that may be seen, newest first. Where their contents may not, these are
        left out, and so is the reason, which may quote them."""
        among, whole = await self.visible(Kind.QUARANTINE), await self.visible(Kind.QUARANTINE, Action.READ_DATA)
        found = await super().quarantine_page(replace(chosen, among=among, worded=whole), limit, before)
        return [each if whole is None or each.pipeline_name in whole else _masked(each) for each in found]

    async def quarantine_stats(self, chosen: RecordFilter, newest: int | None = None) -> list[CauseCount]:
        """Count the records that may be seen, by what they did not get through for."""
        return await super().quarantine_stats(replace(chosen, among=await self.visible(Kind.QUARANTINE)), newest)

    async def quarantined_record(self, record_id: str, run_id: str | None = None) -> RecordStory | None:
        """Return all that is known of one record that was kept back; None where there is none that may be seen."""
        if self._viewer.unlimited:
            return await super().quarantined_record(record_id, run_id)
        whole = await self.visible(Kind.QUARANTINE, Action.READ_DATA)
        meant = RecordFilter(run_id=run_id, record_ids=(record_id,), among=whole)
        newest = await super().quarantine_page(meant, 1)
        return await super().quarantined_record(record_id, newest[0].run_id) if newest else None

    async def refuse_other(self, run_id: str | None, pipeline: str | None) -> None:
        """Raise `NotFound` where a run is named that is not known here, and `ConfigurationError` where it is not one of
        the pipeline named."""
        if run_id is not None:
            await self.known(run_id, pipeline)

    async def kept_record(self, record_id: str, run_id: str | None) -> RecordStory:
        """Return all that is known of a record that was kept back. Raises `NotFound`."""
        if run_id is not None:
            await self.known(run_id)
        if (story := await self.quarantined_record(record_id, run_id)) is None:
            where = f" of run {run_id}" if run_id else ""
            raise NotFound(f"No record {record_id!r}{where} is in quarantine. See: loom quarantine list")
        return story


def _masked(record: WholeRecord) -> WholeRecord:
    """Return a record without what its source, its model or an error says of its contents."""
    return replace(record, record_data={}, failure_reason=MASKED, error_details=None, output=None)
