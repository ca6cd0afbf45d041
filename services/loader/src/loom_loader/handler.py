"""An evaluated batch in, its rows in the destination; the fact and the refused rows out. Last, the load's end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter

from loom_common import flow
from loom_common.contracts.envelope import Message, Outgoing
from loom_common.contracts.v1 import BatchEvaluated, EvaluatedRecord, FinalizeLoad, KeptRecord, LoadFinalized
from loom_common.domain.pipeline import OnFailure
from loom_common.domain.plan import Plan
from loom_common.errors import DestinationError, RecordError, UnreadableMessage
from loom_common.flow import Stage
from loom_common.leases import Leases
from loom_common.plans import PlanCache
from loom_common.stage_result import StageResult, kept_for_error
from loom_connectors.ports import Destination, FailedRow, LoadBatch, LoadResult
from loom_loader.rows import row_of

OpenDestination = Callable[[Plan], Destination]


class Loader:
    """Writes batches, each once in effect: the destination sees to that, by its guarantee."""

    def __init__(self, plans: PlanCache, destinations: Leases[Destination], open_destination: OpenDestination) -> None:
        self._plans = plans
        self._destinations = destinations
        self._open_destination = open_destination

    async def __call__(self, message: Message) -> list[Outgoing]:
        """Raises `TransientError` where the destination is away, `PermanentError` where it cannot be written."""
        match message:
            case BatchEvaluated():
                return await self._load(message)
            case FinalizeLoad():
                return await self._finalize(message)
            case _:
                raise UnreadableMessage(f"{message.type} is nothing to load")

    async def _load(self, batch: BatchEvaluated) -> list[Outgoing]:
        header = batch.header
        plan = await self._plans.get(header.plan)
        rows = [row_of(record, plan.pipeline) for record in batch.records]
        place = LoadBatch(header.run_id, header.batch_id, header.partition, header.slice, header.position, rows)
        began = perf_counter()
        async with self._destinations.of(header.plan, lambda: self._open_destination(plan)) as destination:
            loaded = await destination.load(place)
        seconds = perf_counter() - began
        kept = _refused(batch.records, loaded, plan.pipeline.load.on_failure)
        return StageResult(header, Stage.LOAD, seconds=seconds, kept=kept, advanced={"loaded": loaded.loaded}).messages(
            None
        )

    async def _finalize(self, message: FinalizeLoad) -> list[Outgoing]:
        plan = await self._plans.get(message.plan)
        async with self._destinations.of(message.plan, lambda: self._open_destination(plan)) as destination:
            await destination.finalize(message.run_id, complete=message.complete)
            location = destination.location
        fact = LoadFinalized(run_id=message.run_id, epoch=message.epoch, location=location)
        return [Outgoing(flow.fact("load", "finalized", message.pipeline), fact)]


def _refused(records: Sequence[EvaluatedRecord], result: LoadResult, on_failure: OnFailure) -> list[KeptRecord]:
    """The records whose rows the destination refused. Raises `DestinationError` where it lost count of them."""
    if result.loaded + len(result.failed) != len(records):
        raise DestinationError(
            f"The destination accounts for {result.loaded} loaded and {len(result.failed)} refused of "
            f"{len(records)} rows. Its connector must account for every row of a batch."
        )
    by_id = {record.id: record for record in records}
    return [_kept(by_id[row.record_id], row, on_failure) for row in result.failed]


def _kept(record: EvaluatedRecord, row: FailedRow, on_failure: OnFailure) -> KeptRecord:
    error = RecordError(row.reason, code=row.code)
    kept = kept_for_error(record.id, error, on_failure, input=record.input, output=record.result)
    return kept.model_copy(update={"scores": record.scores})
