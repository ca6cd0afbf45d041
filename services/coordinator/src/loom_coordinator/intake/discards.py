"""Passes on to the quarantine that records of a run are given up, once it is known that there are some."""

from __future__ import annotations

from sqlalchemy import func, select

from loom_common import flow
from loom_common.contracts.envelope import Outgoing
from loom_common.contracts.v1 import DiscardRequest, RunAccepted
from loom_common.errors import ConfigurationError
from loom_coordinator.db import run_rows
from loom_coordinator.db.tables.outcomes import quarantined
from loom_coordinator.db.unit_of_work import UnitOfWork


async def accept(unit: UnitOfWork, request: DiscardRequest) -> RunAccepted:
    """Send the request on, and say what the run's status is. Raises `ConfigurationError` for an unknown run, and for
    one of whose records none waits."""
    run = await run_rows.find(unit.connection, request.run_id)
    if run is None:
        raise run_rows.unknown(request.run_id)
    named = [] if request.record_ids is None else [unit.among(quarantined.c.record_id, request.record_ids)]
    waiting = select(func.count()).where(
        quarantined.c.run_id == request.run_id, quarantined.c.resolved.is_(False), *named
    )
    if not (await unit.connection.execute(waiting)).scalar_one():
        meant = "the records named" if named else "the records that it kept back"
        raise ConfigurationError(
            f"Nothing is discarded: none of {meant} of run {request.run_id} waits. "
            f"See: loom quarantine list --run-id {request.run_id}"
        )
    unit.send(Outgoing(flow.discard(run.pipeline_name), request.model_copy(update={"audit_line": None})))
    return RunAccepted(run_id=run.run_id, pipeline=run.pipeline_name, status=run.status, epoch=run.epoch)
