"""Notes for the metrics what facts have changed: records by stage, scores, calls and money."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from loom_common.domain.run.calls import Calls
from loom_common.domain.run.tally import Tally
from loom_common.flow import Stage
from loom_common.ports.tracing import tracer
from loom_coordinator.accounting.batches import Applied
from loom_coordinator.db.pipeline_metrics import CALL_SECONDS, CALLS, COST, MODEL_COST, RECORDS, SCORE, TOKENS
from loom_coordinator.db.run import Run
from loom_coordinator.db.unit_of_work import UnitOfWork


def progress(unit: UnitOfWork, before: Mapping[str, Run], applied: Applied) -> None:
    """Note what has changed since `before`, which are the runs as they were."""
    if not unit.observes:
        return
    for run_id, totals in applied.totals.items():
        run = before[run_id]
        for stage, records in let_through(run.totals.tally, totals.tally):
            unit.observe(RECORDS, run.pipeline_name, stage.value, value=records)
    for run_id, _, calls in applied.paid:
        for each in calls:
            _paid(unit, before[run_id].pipeline_name, each)
    for fact in applied.scored:
        name = before[fact.header.run_id].pipeline_name
        span = tracer().reference(fact.header.run_id)
        for evaluation in fact.evaluations:
            if evaluation.score is not None:
                unit.observe(SCORE, name, evaluation.name, value=evaluation.score, span=span)


def let_through(before: Tally, now: Tally) -> Iterator[tuple[Stage, int]]:
    """Yield for each stage how many more records it has let through. A count that was corrected downwards counts as
    none, because a counter never falls."""
    fields = {
        Stage.EXTRACT: "extracted",
        Stage.TRANSFORM: "transformed",
        Stage.EVALUATE: "passed",
        Stage.LOAD: "loaded",
    }
    for stage, name in fields.items():
        more = getattr(now, name) - getattr(before, name)
        if more > 0:
            yield stage, more


def _paid(unit: UnitOfWork, pipeline: str, calls: Calls) -> None:
    """Note calls. Where a better account replaces an earlier one, the difference may be negative; then nothing is
    noted."""
    kind = (calls.model, calls.purpose)
    for metric, labels, amount in (
        (CALLS, (*kind, "yes"), calls.made),
        (CALLS, (*kind, "no"), calls.reused),
        (CALL_SECONDS, kind, calls.seconds),
        (TOKENS, (calls.model, "in"), calls.tokens_in),
        (TOKENS, (calls.model, "out"), calls.tokens_out),
        (MODEL_COST, (calls.model,), calls.cost),
        (COST, (pipeline,), calls.cost),
    ):
        if amount > 0:
            unit.observe(metric, *labels, value=amount)
