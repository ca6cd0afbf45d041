"""Keeps what a run has seen of the schemas of its records, and stores what evolved as the next version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, select, update

from loom_common.async_engine import AsyncConnection
from loom_common.contracts import v1
from loom_common.contracts.envelope import Message
from loom_common.contracts.v1 import SchemaDrift
from loom_common.domain.schema.columns import Column, merged
from loom_common.domain.schema.drift import drift
from loom_common.flow import Stage
from loom_coordinator.accounting import tallies
from loom_coordinator.db import run_rows, schema_versions
from loom_coordinator.db.run import Run
from loom_coordinator.db.tables.schemas import schema_observations
from loom_coordinator.db.unit_of_work import UnitOfWork

if TYPE_CHECKING:
    from loom_common.domain.run.plan import Plan

_TABLE = schema_observations.c
_OF_RUN = (
    select(_TABLE.stage, _TABLE.version, _TABLE.columns)
    .where(_TABLE.run_id == bindparam("run_id"))
    .order_by(_TABLE.stage)
)
HELD = (Stage.EXTRACT, Stage.TRANSFORM, Stage.LOAD)
"""The stages that hold records to a schema."""


async def with_stored(unit: UnitOfWork, plan: Plan) -> Plan:
    """Return the plan with the newest version of each schema, which the run is held to."""
    stored = await schema_versions.current(unit.connection, plan.pipeline.state_name)
    return plan.model_copy(update={"schemas": {stage: dict(each.columns) for stage, each in stored.items()}})


async def begin(unit: UnitOfWork, run_id: str, plan: Plan) -> None:
    """Note which versions a run is held to, for each stage that has a contract. A replay is held to them, and says
    nothing of the source."""
    from loom_common.domain.run.plan import contract_of

    held = [stage for stage in HELD if contract_of(plan, stage) is not None]
    if not held or plan.replay is not None:
        return
    stored = await schema_versions.current(unit.connection, plan.pipeline.state_name)
    rows = [
        {"run_id": run_id, "stage": stage, "version": stored[stage].version if stage in stored else None}
        for stage in held
    ]
    await unit.connection.execute(schema_observations.insert(), rows)


async def begin_as(unit: UnitOfWork, run_id: str, other: str) -> None:
    """Note that a run is held to the versions that another run of the pipeline is held to."""
    rows = await unit.connection.execute(_OF_RUN, {"run_id": other})
    held = [{"run_id": run_id, "stage": stage, "version": version} for stage, version, _ in rows]
    if held:
        await unit.connection.execute(schema_observations.insert(), held)


async def keep(unit: UnitOfWork, facts: Sequence[Message]) -> None:
    """Keep what facts say of the columns of their records. A fact that comes again changes nothing."""
    found: dict[tuple[str, Stage], dict[str, Column]] = {}
    for fact in facts:
        if isinstance(fact, v1.SliceExtracted | v1.BatchFact) and fact.columns:
            key = (fact.correlation_id, Stage.EXTRACT if isinstance(fact, v1.SliceExtracted) else fact.stage)
            found[key] = merged(found[key], fact.columns) if key in found else dict(fact.columns)
    for (run_id, stage), columns in sorted(found.items()):
        here = (_TABLE.run_id == run_id, _TABLE.stage == stage)
        row = (await unit.connection.execute(select(_TABLE.columns).where(*here))).one_or_none()
        if row is None:
            continue
        before = None if row[0] is None else schema_versions.from_row(row[0])
        after = columns if before is None else merged(before, columns)
        if after != before:
            changed = {"columns": schema_versions.as_row(after)}
            await unit.connection.execute(update(schema_observations).where(*here).values(**changed))


async def store(unit: UnitOfWork, run: Run, status: str) -> None:
    """Store what evolved in a run that has ended well as the next versions, where their contracts say so."""
    if status not in (run_rows.SUCCEEDED, run_rows.PARTIAL) or run.sample is not None:
        return
    from loom_common.domain.run.plan import contracts_in

    pipeline = tallies.definition(run)
    contracts = contracts_in(pipeline)
    if not any(contracts.values()):
        return
    seen = await _seen(unit.connection, run.run_id)
    stored = await schema_versions.current(unit.connection, run.state_name) if seen else {}
    for stage, (_, columns) in seen.items():
        contract = contracts[stage]
        if contract is None or columns is None:
            continue
        before = stored.get(stage)
        grown = contract.next_version(None if before is None else before.columns, columns)
        if grown is not None:
            await schema_versions.store(unit.connection, run.state_name, stage, grown, unit.now, run.run_id)


async def drift_of(connection: AsyncConnection, run: Run) -> tuple[SchemaDrift, ...]:
    """Return how the records of a run differ from the versions that it was held to."""
    found = []
    versions = None
    for stage, (version, columns) in (await _seen(connection, run.run_id)).items():
        if version is None or columns is None:
            continue
        if versions is None:
            versions = await schema_versions.history(connection, run.state_name)
        held = next(each for each in versions if (each.stage, each.version) == (stage, version))
        changes = tuple(drift(held.columns, columns))
        if changes:
            found.append(SchemaDrift(stage=stage, version=version, changes=changes))
    return tuple(found)


async def _seen(
    connection: AsyncConnection, run_id: str
) -> Mapping[Stage, tuple[int | None, dict[str, Column] | None]]:
    rows = await connection.execute(_OF_RUN, {"run_id": run_id})
    return {
        Stage(stage): (version, None if columns is None else schema_versions.from_row(columns))
        for stage, version, columns in rows
    }
