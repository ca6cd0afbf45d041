"""Keeps a run's books: its tally, its scores, its lineage and its cost, as the rows that hold them tell."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cachetools import LRUCache
from sqlalchemy import Executable, Float, bindparam, case, cast, func, select

from loom_common.domain.definition.reader import parse
from loom_common.domain.json_values import exact_json
from loom_common.domain.run.tally import Tally
from loom_common.domain.values.urls import redacted
from loom_common.flow import Stage
from loom_coordinator.accounting import steps
from loom_coordinator.db.run import Run
from loom_coordinator.db.tables.outcomes import evaluation_results, record_evaluations
from loom_coordinator.db.tables.runs import pipeline_lineage, pipeline_runs
from loom_coordinator.db.unit_of_work import UnitOfWork
from loom_migrations.upserts import inserting

if TYPE_CHECKING:
    from loom_common.domain.definition.pipeline import Pipeline

_SCORES = record_evaluations.c
_MEANS = (
    select(
        _SCORES.evaluator_name,
        func.count().label("size"),
        func.avg(_SCORES.score).label("mean"),
        func.min(_SCORES.score).label("least"),
        func.max(_SCORES.score).label("most"),
        func.avg(case((_SCORES.passed, 1.0), else_=0.0)).label("pass_rate"),
        func.avg(cast(_SCORES.score * _SCORES.score, Float)).label("mean_square"),
    )
    .where(_SCORES.run_id == bindparam("run_id"), _SCORES.score.is_not(None))
    .group_by(_SCORES.evaluator_name)
)
_read: LRUCache[bytes, Pipeline] = LRUCache(32)
"""Holds the definitions that were read last, by how they are written."""


def shown(total: Tally, placed: Mapping[str, bool] | None, *, ended: bool) -> Tally:
    """Return the run's tally for people: what is loaded can be read. `placed` is `pipeline_runs.placed`: what the
    loader said of its two places when it finalized the load; None before that."""
    said = placed or {"first": False, "second": False}
    return total.shown(placed=said["first"], second_placed=said["second"], ended=ended)


def with_unread(total: Tally, unread: int) -> Tally:
    """Return the tally of a run that was cancelled before so many of its records were read: they count as extracted,
    and as cancelled."""
    if unread <= 0:
        return total
    counts = {"extracted": total.extracted + unread, "cancelled": total.cancelled + unread}
    return total.model_copy(update=counts)


def of_run(run: Run) -> Tally:
    """Return the run's tally for people, as far as it has come. Its row holds the one of its end; until then, and
    after a resume, its totals tell."""
    if run.completed_at is not None and run.tally is not None:
        return run.tally
    return shown(run.totals.tally, run.placed, ended=False)


def columns(total: Tally) -> dict[str, Any]:
    """Return the columns of `pipeline_runs` that show a tally."""
    cost = total.cost_transform + total.cost_evaluate
    return {
        "tally": total.model_dump(),
        "records_processed": total.extracted,
        "records_validated": total.passed,
        "records_rejected": total.rejected,
        "rejection_rate": total.rejected / total.judged if total.judged else None,
        "cost_total": cost,
        "cost_breakdown": {"transform": total.cost_transform, "evaluate": total.cost_evaluate},
    }


def definition(run: Run) -> Pipeline:
    """Return the definition that the run was started with. It is asked for with every group of facts of a run in which
    a record failed, and reading one whose output has thirty fields takes 12 ms, so the last ones are kept."""
    written = exact_json.dumps(run.definition)
    if (kept := _read.get(written)) is None:
        kept = _read[written] = parse(run.definition)
    return kept


async def summarize_evaluations(unit: UnitOfWork, run: Run) -> None:
    """Add up `record_evaluations` into one `evaluation_results` row per evaluator."""
    pipeline = definition(run)
    if pipeline.evaluate is None:
        return
    found = await unit.connection.execute(_MEANS, {"run_id": run.run_id})
    means = {row["evaluator_name"]: row for row in found.mappings()}
    rows = []
    for evaluator in pipeline.evaluate.evaluators:
        row = means.get(evaluator.name)
        if row is None:
            continue
        variance = max(0.0, float(row["mean_square"]) - float(row["mean"]) ** 2)
        rows.append(
            {
                "run_id": run.run_id,
                "evaluator_name": evaluator.name,
                "evaluator_type": evaluator.type,
                "mean_score": float(row["mean"]),
                "std_score": math.sqrt(variance),
                "min_score": row["least"],
                "max_score": row["most"],
                "threshold": evaluator.threshold,
                "pass_rate": None if evaluator.threshold is None else float(row["pass_rate"]),
                "passed": evaluator.threshold is None or float(row["mean"]) >= evaluator.threshold,
                "sample_size": row["size"],
                "weight": evaluator.weight,
                "quality_gate": pipeline.evaluate.quality_gate.type,
                "gate_threshold": pipeline.evaluate.quality_gate.threshold,
                "created_at": unit.now,
            }
        )
    if rows:
        await unit.connection.execute(_summarizing(unit.dialect, tuple(rows[0])), rows)


@functools.cache
def _summarizing(dialect: str, columns: Sequence[str]) -> Executable:
    """Return the statement that enters the scores of an evaluator, or puts them in the place of others."""
    statement = inserting(dialect, evaluation_results)
    key = ["run_id", "evaluator_name"]
    changed = {name: statement.excluded[name] for name in columns if name not in key}
    return statement.on_conflict_do_update(index_elements=key, set_=changed)


async def _destination(unit: UnitOfWork, run: Run) -> str:
    """Return where a run's rows are, as the loader said: for a sample, that is beside its destination."""
    said = select(pipeline_runs.c.destination).where(pipeline_runs.c.run_id == run.run_id)
    return str((await unit.connection.execute(said)).scalar_one())


async def enter_lineage(unit: UnitOfWork, run: Run, total: Tally) -> None:
    """Record where the run's records came from, where they went, and what each stage let through."""
    pipeline = definition(run)
    counts = {
        Stage.EXTRACT: (total.extracted, total.extracted),
        Stage.TRANSFORM: (total.extracted, total.transformed),
        Stage.EVALUATE: (total.transformed, total.passed),
        Stage.LOAD: (total.passed, total.loaded),
    }
    found = await steps.summaries(unit.connection, run.run_id, run.definition)
    stepped = [each.model_dump(mode="json") for each in found]
    row = {
        "run_id": run.run_id,
        "input_source": redacted(pipeline.extract.source),
        "input_query": pipeline.extract.query,
        "input_record_count": total.extracted,
        "output_destination": await _destination(unit, run) if run.sample else redacted(pipeline.load.destination),
        "output_record_count": total.loaded,
        "stages": [
            {"stage": stage.value, "records_in": entered, "records_out": left}
            | ({"steps": stepped} if stage is Stage.TRANSFORM and stepped else {})
            for stage, (entered, left) in counts.items()
        ],
        "created_at": unit.now,
    }
    await unit.upsert(pipeline_lineage, [row])
