"""Keeps what the quality checks of a run counted, and judges the run by it.

The counts of a slice or a batch are rows of their own, so that a fact that comes again changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sqlalchemy import delete, func, select

from loom_common.async_engine import AsyncConnection
from loom_common.contracts import v1
from loom_common.contracts.envelope import Message
from loom_common.contracts.v1 import CheckSummary
from loom_common.flow import Stage
from loom_coordinator.accounting import tallies
from loom_coordinator.db.run import Run
from loom_coordinator.db.tables.quality import quality_counts, quality_results
from loom_coordinator.db.unit_of_work import UnitOfWork

if TYPE_CHECKING:
    from loom_common.domain.quality.check import QualityCheck
    from loom_common.domain.quality.outcomes import Verdict

_FAILED = "failed"
"""The part that counts the record for which a stage failed the run."""


async def keep(unit: UnitOfWork, known: Mapping[str, Run], facts: Sequence[Message]) -> None:
    """Keep what facts say of the checks of their slices and batches."""
    rows: dict[tuple[str, str, str, str], dict[str, object]] = {}
    for fact in facts:
        match fact:
            case v1.SliceExtracted(checks=checks) if checks:
                part, stage = f"{fact.partition}-{fact.slice}", Stage.EXTRACT
            case v1.BatchFact(checks=checks) if checks:
                part, stage = fact.header.batch_id, fact.stage
            case v1.StageFailed(check=str(check)) if fact.epoch == known[fact.run_id].epoch:
                part, stage, checks = _FAILED, fact.stage, (v1.CheckCount(name=check, seen=1, missed=1),)
            case _:
                continue
        for count in checks:
            rows[fact.correlation_id, stage, count.name, part] = {
                "run_id": fact.correlation_id,
                "stage": stage,
                "check_name": count.name,
                "part": part,
                "seen": count.seen,
                "missed": count.missed,
                "newest": count.newest,
            }
    # Rows are written in the same order everywhere, so that two coordinators cannot deadlock.
    await unit.upsert(quality_counts, [rows[key] for key in sorted(rows)])


async def forget_failure(unit: UnitOfWork, run_id: str) -> None:
    """Forget the record for which a stage failed the run, because the run goes on."""
    await unit.connection.execute(
        delete(quality_counts).where(quality_counts.c.run_id == run_id, quality_counts.c.part == _FAILED)
    )


def has_checks(run: Run) -> bool:
    """Tell whether the definition of a run has quality checks."""
    return any((run.definition.get(stage) or {}).get("quality_checks") for stage in (Stage.EXTRACT, Stage.LOAD))


async def broken(unit: UnitOfWork, run: Run, *stages: Stage) -> str | None:
    """Return why the run fails by a check of these stages, all of whose records have been seen; None where it does
    not."""
    if not has_checks(run):
        return None
    for stage in stages:
        for verdict in await _judged(unit.connection, run, stage, ended=True):
            if verdict.fails:
                return f"The run misses the check '{verdict.name}' of `{stage}.quality_checks`: {verdict.broken}."
    return None


async def summaries(connection: AsyncConnection, run: Run) -> tuple[CheckSummary, ...]:
    """Return what the checks of a run have found, as far as it has come; of an ended run what was judged at its
    end."""
    if not has_checks(run):
        return ()
    kept = await connection.execute(
        select(quality_results).where(quality_results.c.run_id == run.run_id).order_by(quality_results.c.position)
    )
    if run.completed_at is not None and (rows := kept.mappings().all()):
        return tuple(
            CheckSummary(
                stage=row["stage"],
                name=row["check_name"],
                check=row["check_kind"],
                column=row["column_name"],
                action=row["action"],
                seen=row["seen"],
                missed=row["missed"],
                outcome=row["outcome"],
                reason=row["reason"],
            )
            for row in rows
        )
    return tuple(await _summaries(connection, run, ended=False))


async def write(unit: UnitOfWork, run: Run) -> None:
    """Write what the checks of a run came to, at its end."""
    if not has_checks(run):
        return
    rows = [
        {
            "run_id": run.run_id,
            "stage": each.stage,
            "check_name": each.name,
            "position": position,
            "check_kind": each.check,
            "column_name": each.column,
            "action": each.action,
            "seen": each.seen,
            "missed": each.missed,
            "outcome": each.outcome,
            "reason": each.reason,
            "judged_at": unit.now,
        }
        for position, each in enumerate(await _summaries(unit.connection, run, ended=True))
    ]
    await unit.upsert(quality_results, rows)


async def _summaries(connection: AsyncConnection, run: Run, *, ended: bool) -> list[CheckSummary]:
    return [
        _summary(stage, verdict)
        for stage in (Stage.EXTRACT, Stage.LOAD)
        for verdict in await _judged(connection, run, stage, ended=ended)
        if verdict.counted.seen or verdict.kind != "ontology"  # it says nothing of records without its concepts
    ]


async def _judged(connection: AsyncConnection, run: Run, stage: Stage, *, ended: bool) -> list[Verdict]:
    """Judge a run by the checks of a stage. Until all of its records have been seen, checks of the whole run say
    nothing."""
    from loom_common.domain.quality.outcomes import Counted, verdicts  # many pipelines declare no check

    pipeline = tallies.definition(run)
    checks: Sequence[QualityCheck] = (
        pipeline.extract.quality_checks if stage is Stage.EXTRACT else pipeline.load.quality_checks
    )
    if not checks:
        return []
    table = quality_counts.c
    rows = await connection.execute(
        select(table.check_name, func.sum(table.seen), func.sum(table.missed), func.max(table.newest))
        .where(table.run_id == run.run_id, table.stage == stage)
        .group_by(table.check_name)
    )
    counts = {name: Counted(int(seen), int(missed), newest) for name, seen, missed, newest in rows}
    whole = ended and run.replay_of is None and run.sample is None
    return verdicts(checks, counts, run.started_at, whole=whole)


def _summary(stage: Stage, verdict: Verdict) -> CheckSummary:
    from loom_common.domain.quality.check import RecordCheck
    from loom_common.domain.quality.kinds import Freshness

    check = verdict.check
    columns = check.columns if isinstance(check, RecordCheck) else ()
    columns = (check.column,) if isinstance(check, Freshness) else columns
    return CheckSummary(
        stage=stage,
        name=verdict.name,
        check=verdict.kind,
        column=", ".join(columns) or None,
        action=verdict.action,
        seen=verdict.counted.seen,
        missed=verdict.counted.missed,
        outcome=verdict.outcome,
        reason=verdict.broken,
    )
