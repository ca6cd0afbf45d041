"""Removes the rows of records that no longer pass from their destination, and keeps the records in quarantine."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Sequence

from loom_common.async_engine import AsyncEngine
from loom_common.contracts.v1 import EvaluatedRecord, KeptRecord, RecordsQuarantined
from loom_common.domain.run.plan import Plan
from loom_common.domain.values import ids
from loom_common.errors import DestinationError
from loom_common.flow import Stage
from loom_common.resilience import failpoints
from loom_common.service.bootstrap import Platform
from loom_connectors.ports.destination import Destination, LoadBatch, WithdrawingDestination
from loom_coordinator.db.outputs import rescorings
from loom_coordinator.db.outputs.rescorings import WITHDRAWN, WithdrawnRecord
from loom_coordinator.db.run import Run
from loom_loader.rows import held_to_schema, rows_of
from loom_loader.service import open_destination_of
from loom_quarantine.db import withdrawn

_PAGE = 500
"""The number of records that are withdrawn by one transaction."""


async def refusal(platform: Platform, plan: Plan) -> str | None:
    """Return why the plan's destination gives no row back, in a sentence; None where it does."""
    destination = await _opened(platform, plan)
    try:
        if isinstance(destination, WithdrawingDestination):
            return destination.keeps_rows
        return (
            f"{destination.location}: a row that is there cannot be taken out of it. Write the evaluators into the "
            "pipeline and run it again, which asks no model for an output that is in the journal."
        )
    finally:
        await destination.close()


async def withdraw(engine: AsyncEngine, platform: Platform, run: Run, plan: Plan, rescoring_id: str) -> int:
    """Remove all loaded records that no longer pass. Return how many. What was withdrawn before, by a process that
    ended amid it, is not withdrawn again, whatever was loaded since."""
    destination = await _opened(platform, plan)
    number = 0
    try:
        async for page in rescorings.leaving(engine, rescoring_id, _PAGE):
            batch_id = ids.message_id("withdrawn", rescoring_id, page[0].record_id)
            if not all(record.applied for record in page):
                await failpoints.reach("before_withdrawal")
                await _take(destination, plan, run, rescoring_id, batch_id, page)
                await failpoints.reach("after_withdrawal")
                await _take_back(engine, run, rescoring_id, batch_id, page)
            number += len(page)
    finally:
        await destination.close()
    return number


async def _opened(platform: Platform, plan: Plan) -> Destination:
    await platform.credentials.fetch(plan.pipeline.load.destination)
    return await asyncio.to_thread(open_destination_of, plan, platform)


async def _take(
    destination: Destination,
    plan: Plan,
    run: Run,
    rescoring_id: str,
    batch_id: str,
    page: Sequence[WithdrawnRecord],
) -> None:
    """Remove the rows of a page. Raises `DestinationError` where the destination is another one by now."""
    if not isinstance(destination, WithdrawingDestination):
        raise DestinationError(f"{destination.location} gives no row back.")
    records = [EvaluatedRecord(each.record_id, each.record_data, each.output) for each in page]
    rows, _ = rows_of(records, plan.pipeline)
    rows, _, _ = held_to_schema(rows, plan)
    await destination.withdraw(
        LoadBatch(rescoring_id, batch_id, partition=0, slice=0, position=0, rows=rows, origin=run.run_id)
    )


async def _take_back(
    engine: AsyncEngine, run: Run, rescoring_id: str, batch_id: str, page: Sequence[WithdrawnRecord]
) -> None:
    """Store the records of a page in quarantine, and note that they are withdrawn: both, or neither."""
    kept = tuple(
        KeptRecord(
            record_id=each.record_id,
            outcome="rejected",
            code=WITHDRAWN,
            reason=each.reason or "It no longer passes its quality gate",
            input=each.record_data,
            output=each.output,
            scores=dict(each.scores or {}),
            details={"rescoring": rescoring_id},
        )
        for each in page
    )
    message = RecordsQuarantined(
        run_id=run.run_id, pipeline=run.pipeline_name, batch_id=batch_id, stage=Stage.EVALUATE, records=kept
    )
    async with engine.begin() as connection:
        await withdrawn.take_back(connection, message, dt.datetime.now(dt.UTC))
        await rescorings.set_applied(connection, rescoring_id, [each.record_id for each in page])
