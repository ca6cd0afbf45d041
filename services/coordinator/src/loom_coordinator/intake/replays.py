"""Replays: runs over the records that another run kept back, with the changes that are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import case, func, select

from loom_common.contracts.v1 import ReplayRequest, RunAccepted
from loom_common.domain.definition.pipeline import Pipeline
from loom_common.domain.definition.reader import parse
from loom_common.domain.run.plan import Plan, Replay
from loom_common.domain.run.replaying import Changes, changed
from loom_common.domain.values.ids import new_run_id, run_id_for
from loom_common.errors import ConfigurationError
from loom_common.ports.payloads import PayloadStore
from loom_common.sealing.keyring import Keyring
from loom_common.sealing.sealer import Sealer
from loom_coordinator.accounting import schemas
from loom_coordinator.db import run_rows
from loom_coordinator.db.run import Run
from loom_coordinator.db.tables.outcomes import quarantined
from loom_coordinator.db.tables.runs import pipeline_runs
from loom_coordinator.db.unit_of_work import UnitOfWork
from loom_coordinator.intake import start_run
from loom_coordinator.intake.definitions.prompt_versions import register_prompt


async def accept(
    unit: UnitOfWork, payloads: PayloadStore, request: ReplayRequest, keyring: Keyring, *, every_hop: bool
) -> RunAccepted:
    """Start a run over another run's quarantined records; an idempotency key seen before is answered with its run. With
    `every_hop` its batches visit every stage. Edits of sensitive fields are sealed by the keys of `keyring`.

    Raises `ConfigurationError` for an unknown run, one that has not ended, one of whose records none waits, and a key
    that has started another run; `InvalidDefinition` for changes that do not fit its pipeline."""
    run_id = run_id_for(request.idempotency_key) if request.idempotency_key else new_run_id()
    original = (await run_rows.lock(unit, [request.run_id])).get(request.run_id)
    if original is None:
        raise run_rows.unknown(request.run_id)
    if original.status not in run_rows.TERMINAL:
        raise ConfigurationError(
            f"Run {request.run_id} has not ended (its status is {original.status}), so its records may still get "
            f"through. Finish it with `loom resume {request.run_id}`, or drop it with `loom cancel {request.run_id}`; "
            "then replay them."
        )
    if (known := await run_rows.find(unit.connection, run_id)) is not None:
        if known.replay_of != request.run_id:
            raise ConfigurationError(
                f"The idempotency key {request.idempotency_key} has started {run_id} of the pipeline "
                f"{known.pipeline_name}, which is no replay of {request.run_id}. Give this request a key of its own."
            )
        return RunAccepted(run_id=run_id, pipeline=known.pipeline_name, status=known.status)
    await _see_that_some_wait(unit, request)
    changes = request.changes or Changes()
    plan = Plan.decoded(await payloads.get(original.plan))
    definition = changed(original.definition, changes)
    made: dict[str, Any] = {
        "pipeline": parse(definition),
        "every_hop": every_hop,
        "reuse": plan.reuse or changes.outputs,
    }
    made["files"] = {**plan.files, **changes.files}
    replay = Replay(
        run_id=request.run_id,
        origin=await origin_of(unit, original),
        record_ids=request.record_ids,
        edits=await sealed_edits(changes.edits, made["pipeline"], keyring),
        outputs=changes.outputs,
    )
    plan = replayed(plan.model_copy(update=made), replay)
    plan = await schemas.with_stored(unit, plan)
    if changes.prompt is not None:
        await register_prompt(unit, plan)
    await start_run.start(
        unit,
        payloads,
        run_id,
        plan,
        definition=definition,
        requested_by=request.requested_by,
        idempotency_key=request.idempotency_key,
        priority=original.priority,
    )
    return RunAccepted(run_id=run_id, pipeline=plan.pipeline.name, status=run_rows.RUNNING)


async def sealed_edits(edits: Mapping[str, Any], pipeline: Pipeline, keyring: Keyring) -> dict[str, Any]:
    """Return the edits as the plan of a replay holds them. Raises `ConfigurationError` where sensitive fields are
    edited and their key is not known here, and `DependencyUnavailable`."""
    if not pipeline.sensitive or not edits:
        return dict(edits)
    return Sealer(pipeline.name, pipeline.sensitive_fields, await keyring.keys()).sealed_edits(edits)


def replayed(plan: Plan, replay: Replay) -> Plan:
    """Return the plan of a replay: over all the records named, and adding to the result where the original replaced
    it."""
    load = plan.pipeline.load
    adding = load.model_copy(update={"mode": "append"}) if load.mode == "replace" else load
    pipeline = plan.pipeline.model_copy(update={"load": adding})
    return plan.model_copy(update={"pipeline": pipeline, "replay": replay, "limit": None})


async def origin_of(unit: UnitOfWork, run: Run) -> str:
    """Return the run that first read the records: `run` itself, or, of a replay, the run at the beginning of its
    line."""
    run_id, before = run.run_id, run.replay_of
    while before is not None:
        run_id = before
        query = select(pipeline_runs.c.replay_of).where(pipeline_runs.c.run_id == run_id)
        before = (await unit.connection.execute(query)).scalar_one_or_none()
    return str(run_id)


async def see_that_it_may_be_resumed(unit: UnitOfWork, run: Run) -> None:
    """Raise `ConfigurationError` where replays of a run's records stand against resuming it: one that is at work on
    them, or, where the run would replace what lies in its destination, one that loaded some."""
    load = run.definition.get("load") or {}
    for replay in await _replays(unit, run.run_id):
        if replay.status not in run_rows.TERMINAL:
            raise ConfigurationError(
                f"Run {replay.run_id} is replaying records of {run.run_id} (its status is {replay.status}). "
                f"Finish it with `loom resume {replay.run_id}`, or drop it with `loom cancel {replay.run_id}`; "
                f"then resume {run.run_id}."
            )
        if load.get("mode") == "replace" and replay.tally and replay.tally.loaded:
            raise ConfigurationError(
                f"Run {replay.run_id} has loaded records of {run.run_id}, whose mode is `replace`: resuming it "
                "would remove them. Start the pipeline again instead."
            )


async def _replays(unit: UnitOfWork, run_id: str) -> list[Run]:
    """Return all replays of a run's records, and of what those kept back again."""
    found: list[Run] = []
    parents = [run_id]
    while parents:
        query = run_rows.RUNS.where(pipeline_runs.c.replay_of.in_(parents))
        children = [Run.of(row) for row in (await unit.connection.execute(query)).mappings()]
        found += children
        parents = [child.run_id for child in children]
    return found


async def _see_that_some_wait(unit: UnitOfWork, request: ReplayRequest) -> None:
    named = [] if request.record_ids is None else [unit.among(quarantined.c.record_id, request.record_ids)]
    waiting = func.coalesce(func.sum(case((quarantined.c.resolved.is_(True), 0), else_=1)), 0)
    counted = select(func.count(), waiting).where(quarantined.c.run_id == request.run_id, *named)
    kept, left = (await unit.connection.execute(counted)).one()
    if left:
        return
    meant = (
        f"the records named of run {request.run_id}" if named else f"the records that run {request.run_id} kept back"
    )
    raise ConfigurationError(
        f"Nothing is replayed: none of {meant} waits. {int(kept)} of them stand in quarantine, all resolved. "
        f"See: loom quarantine list --run-id {request.run_id}"
    )
