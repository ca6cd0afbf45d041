"""Reads slices of a source, checks the quality of its records, and checks the keys of replayed records against it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from time import perf_counter

from loom_common.caching.resource_cache import ResourceCache
from loom_common.contracts.v1 import BatchExtracted, BatchHeader, ExtractedRecord, ExtractSlice, RunEpoch, SplitSource
from loom_common.domain.checks.record_checks import key_of
from loom_common.domain.run.piece import Piece
from loom_common.domain.run.plan import Plan, contract_of
from loom_common.domain.run.stages import visited
from loom_common.domain.schema.columns import Columns
from loom_common.domain.schema.contract import shaped
from loom_common.domain.values import durations, ids
from loom_common.errors import PermanentError, RecordError
from loom_common.flow import Stage
from loom_common.quality.checker import NOTHING_CHECKED, Checked, CheckedRecord, QualityChecker
from loom_common.resilience.breakers import Breakers
from loom_common.user_code.stage_runner import Plans
from loom_common.user_code.time_limits import within
from loom_common.worker.context import Context
from loom_common.worker.slices import Slice, SliceRecord, cut
from loom_common.worker.stage_result import Extracted, kept_for_error
from loom_connectors import pieces
from loom_connectors.ports.source import Source
from loom_extractor import shares
from loom_extractor.duplicates import Duplicates, positions_of, taken_keys
from loom_extractor.groups import GroupReader
from loom_extractor.incremental import taken
from loom_extractor.slice_reader import SliceReader
from loom_extractor.sources.planned import OpenSource, PlannedSources
from loom_extractor.sources.received import ReceivedRecords
from loom_extractor.versions import Versions

_WHOLE = -1
"""Stands for the position of a batch where a slice is checked as a whole."""


class Extractor:
    """Reads slices. Holds nothing that matters: the cursor in the message is the checkpoint."""

    def __init__(
        self,
        plans: Plans,
        sources: ResourceCache[Source],
        open_source: OpenSource,
        duplicates: Duplicates,
        breakers: Breakers | None = None,
        checker: Callable[[], QualityChecker] | None = None,
        received: ReceivedRecords | None = None,
        groups: GroupReader | None = None,
        versions: Versions | None = None,
    ) -> None:
        """`checker` gives what runs the quality checks of plans; it is asked for where a plan has some. `received`
        keeps what is taken from queues. `groups` reads what steps have grouped."""
        self._checker = checker
        self._groups = groups
        self._plans = plans
        self._sources = PlannedSources(sources, open_source, breakers or Breakers(), received)
        self._reader = SliceReader(plans, self._sources, duplicates, versions or Versions())
        self.closing = self._reader.closing

    async def hear(self, said: RunEpoch) -> None:
        """Take note of a run that was paused, resumed or cancelled: what was read ahead for it is dropped."""
        self._reader.forget(said.run_id)

    async def split(self, request: SplitSource, _: Context) -> Sequence[Piece]:
        """Split the source. Where nobody says into how many pieces, a source whose keys may stand anywhere remains one:
        before a piece of it is read, the keys of those before it must be. Raises as `read` does."""
        plan = await self._plans.get(request.plan)
        extract = plan.pipeline.extract
        seconds = durations.seconds(plan.pipeline.timeouts.extract)
        async with (
            within(seconds, "Splitting the source", "timeouts.extract"),
            self._sources.of(request.plan, plan) as source,
        ):
            found = await pieces.split(source, request.parts)
        apart = not extract.keys or all(piece.whole_keys for piece in found)
        return found if apart or request.parts is not None else (Piece(),)

    async def read(self, request: ExtractSlice, context: Context) -> Slice:
        """Read a slice. Raises `SourceError` and its like where the source cannot be read, `PermanentError` under
        `abort`, `Timeout` where reading takes too long."""
        plan = await self._plans.get(request.plan)
        extract = plan.pipeline.extract
        seconds = durations.seconds(plan.pipeline.timeouts.extract)
        if request.piece is not None and request.piece.group is not None and self._groups is not None:
            async with within(seconds, "Reading groups of records", "timeouts.extract"):
                return await self._groups.read(request, plan, request.piece.group)
        async with within(seconds, "Reading a slice of the source", "timeouts.extract"):
            read = await self._reader.read(request, plan, context.clock)
            page = read.page
            others = 0 if shares.of_slice(request) is None else len(page.records) - len(read.records)
            records, window = taken(read.records, plan)
            records, columns = _shaped(records, plan)
            part = ids.batch_id(request.run_id, request.partition, request.slice, _WHOLE)
            checked = await self._check_quality(records, plan, request.plan, request.run_id, part, context)
        return cut(
            request,
            _with_errors(records, checked.errors),
            extract=extract,
            cursor=page.cursor,
            end=page.end,
            on_failure=extract.on_failure,
            stages=visited(plan),
            checks=checked.counts,
            columns=columns,
            window=window,
            others=others,
            known=page.known,
            lanes=read.lanes,
            size=read.size,
        )

    async def check(self, batch: BatchExtracted, context: Context) -> Extracted:
        """Check a replay's batch: records with an edited key that another record of the source has are kept back, and
        so are those that miss a quality check. Those that a step made of others are no records of the source, and are
        not checked. Raises as `read` does."""
        plan = await self._plans.get(batch.header.plan)
        on_failure = plan.pipeline.extract.on_failure
        began = perf_counter()
        given = [each for each in batch.records if each.derived is None]
        errors = await self._look_up_keys(batch.header, given, plan)
        free = [SliceRecord(each.id, each.input) for each in given if each.id not in errors]
        shaped_records, _ = _shaped(free, plan)
        errors |= {each.id: each.error for each in shaped_records if each.error is not None}
        free = [each for each in shaped_records if each.error is None]
        part = batch.header.batch_id
        checked = await self._check_quality(free, plan, batch.header.plan, batch.header.run_id, part, context)
        errors |= checked.errors
        kept = [
            kept_for_error(each.id, errors[each.id], on_failure, input=each.input)
            for each in batch.records
            if each.id in errors
        ]
        good = {each.id: ExtractedRecord(each.id, each.input) for each in free if each.id not in errors}
        good.update({each.id: each for each in batch.records if each.derived is not None})
        records = tuple([good[each.id] for each in batch.records if each.id in good])
        seconds = perf_counter() - began
        return Extracted(records=records, seconds=seconds, kept=kept, stages=visited(plan), checks=checked.counts)

    async def _look_up_keys(
        self, header: BatchHeader, records: Sequence[ExtractedRecord], plan: Plan
    ) -> dict[str, RecordError]:
        """Return an error for each record whose key was edited and is another record's, or cannot be looked up because
        the source cannot be read."""
        extract = plan.pipeline.extract
        if not extract.keys:
            return {}
        new = {key_of(each.input, extract.keys): each.id for each in records}
        new = {key: record_id for key, record_id in new.items() if key != record_id}
        if not new:
            return {}
        seconds = durations.seconds(plan.pipeline.timeouts.extract)
        try:
            async with (
                within(seconds, "Looking for keys in the source", "timeouts.extract"),
                self._sources.as_it_was_read(header, plan) as source,
            ):
                return taken_keys(await positions_of(new, source, extract.keys), new)
        except PermanentError as error:
            return {record_id: _unchecked(key, error) for key, record_id in new.items()}

    async def _check_quality(
        self,
        records: Sequence[SliceRecord],
        plan: Plan,
        plan_hash: str,
        run_id: str,
        part: str,
        context: Context,
    ) -> Checked:
        """Run the plan's quality checks on those records that have no error."""
        if self._checker is None or not plan.pipeline.extract.quality_checks:
            return NOTHING_CHECKED
        free = [CheckedRecord(each.id, each.input) for each in records if each.error is None]
        return await self._checker().check(plan_hash, run_id, part, free, context.attempt, context.clock)


def _shaped(records: Sequence[SliceRecord], plan: Plan) -> tuple[list[SliceRecord], Columns | None]:
    """Hold those records that have no error to the contract of their schema. Return all, and the schema of those that
    go on; None where the plan has no contract."""
    if (contract := contract_of(plan, Stage.EXTRACT)) is None:
        return list(records), None
    free = [at for at, record in enumerate(records) if record.error is None]
    held = shaped([records[at].input for at in free], *contract, Stage.EXTRACT)
    changed = list(records)
    for position, at in enumerate(free):
        changed[at] = SliceRecord(records[at].id, dict(held.values[position]), held.errors.get(position))
    return changed, held.columns


def _with_errors(records: Sequence[SliceRecord], errors: Mapping[str, RecordError]) -> Sequence[SliceRecord]:
    """Return the records, those that have no error yet with what the quality checks found."""
    if not errors:
        return records
    return [
        SliceRecord(each.id, each.input, errors[each.id]) if each.error is None and each.id in errors else each
        for each in records
    ]


def _unchecked(key: str, error: PermanentError) -> RecordError:
    return RecordError(
        f"Whether another record has the key {key} cannot be seen: {error}", code="unchecked_key", details={"key": key}
    )
