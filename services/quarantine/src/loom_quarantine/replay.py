"""A slice of quarantined records, read as an extractor reads a source."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from sqlalchemy.ext.asyncio import AsyncEngine

from loom_common.contracts.envelope import Message, Outgoing
from loom_common.contracts.v1 import ExtractSlice
from loom_common.domain.replaying import edited
from loom_common.errors import PermanentError, RecordError
from loom_common.flow import Stage
from loom_common.plans import PlanCache
from loom_common.slicing import SliceRecord, slice_messages, wanted
from loom_quarantine import taking


class Replay:
    """Gives out the unresolved records of another run, by its plan's `replay`. The cursor is the last row's id."""

    def __init__(self, plans: PlanCache, engine: AsyncEngine) -> None:
        self._plans = plans
        self._engine = engine

    async def __call__(self, message: Message) -> list[Outgoing]:
        """Raises `DependencyUnavailable`; `PermanentError` for a plan that replays nothing."""
        request = cast("ExtractSlice", message)
        plan = await self._plans.get(request.plan)
        if plan.replay is None:
            raise PermanentError(f"Run {request.run_id} asks for a replay, but its plan names no run to replay.")
        extract = plan.pipeline.extract
        limit = wanted(request, extract.batch_size)
        taken = await taking.page(self._engine, plan.replay, request.run_id, request.cursor, limit)
        return slice_messages(
            request,
            [_record(row, plan.replay.edits) for row in taken.rows],
            batch_size=extract.batch_size,
            cursor=taken.cursor,
            end=taken.end,
            on_failure=extract.on_failure,
        )


def _record(row: Mapping[str, Any], edits: Mapping[str, Any]) -> SliceRecord:
    """What the extractor could not read whole is no better for being read again: it is kept back, as before, unless
    somebody mends it."""
    error = None
    if row["failure_stage"] == Stage.EXTRACT and not edits:
        error = RecordError(row["failure_reason"], code=row["code"], details=row["error_details"])
    return SliceRecord(row["record_id"], edited(row["record_data"], edits), error)
