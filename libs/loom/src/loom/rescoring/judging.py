"""Judges outputs, and says of each record what is said of it now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loom.rescoring.outputs import Outputs
from loom_common.contracts.v1 import BatchHeader, BatchTransformed, Evaluation, TransformedRecord
from loom_common.domain.run.budget import Budget
from loom_common.domain.run.calls import Calls
from loom_common.domain.run.tally import Tally
from loom_common.domain.values import ids
from loom_common.worker.consumer_spec import Handler
from loom_common.worker.context import Context
from loom_common.worker.stage_result import Evaluated
from loom_common.worker.usage import Usage
from loom_coordinator.db.outputs.rescorings import ERROR, GONE, PASSED, REJECTED

Judge = Handler[BatchTransformed, Evaluated]
"""Judges the records of a batch, as an `Evaluator` does."""

_SLACK = 1e-9
"""The difference of scores that are equal: they were written as decimals."""


@dataclass(frozen=True, slots=True)
class Judged:
    """Holds what is said of the records of one batch."""

    rows: Sequence[Mapping[str, Any]]
    """Are rows of `rescored_records`, by the names of their columns."""
    calls: Sequence[Calls]


class Judging:
    """Judges the batches of one run again."""

    def __init__(
        self,
        rescoring_id: str,
        pipeline: str,
        evaluator: Judge,
        witnesses: Judge | None,
        budget: Budget | None,
    ) -> None:
        """Take the `witnesses`: evaluators of the run that give a record the same score whenever they are asked."""
        self._rescoring_id = rescoring_id
        self._pipeline = pipeline
        self._evaluator = evaluator
        self._witnesses = witnesses
        self._budget = budget

    async def judge(self, outputs: Outputs, number: int) -> Judged:
        """Judge a batch. Raises what `Evaluator` raises."""
        gone = dict(outputs.gone)
        if outputs.from_source and self._witnesses is not None and outputs.records:
            gone |= await self._strangers(outputs, number)
        records = tuple(record for record in outputs.records if record.id not in gone)
        rows = [_gone(name, reason) for name, reason in gone.items()]
        if not records:
            return Judged(rows, ())
        context = Context(usage=Usage(self._budget))
        result = await self._evaluator(self._batch(records, number), context)
        scores = _by_record(result.evaluations)
        kept = {each.record_id: each for each in result.kept}
        for record in records:
            was = outputs.before[record.id]
            away = kept.get(record.id)
            after = PASSED if away is None else REJECTED if away.code == "gate" else ERROR
            leaves = was.loaded and away is not None
            rows.append(
                {
                    "record_id": record.id,
                    "before": was.verdict,
                    "after": after,
                    "loaded": was.loaded,
                    "reason": None if away is None else away.reason,
                    "scores_before": dict(was.scores),
                    "scores": scores.get(record.id, {}),
                    "record_data": record.input if leaves else None,
                    "output": record.result if leaves else None,
                }
            )
        return Judged(rows, context.usage.lines())

    async def _strangers(self, outputs: Outputs, number: int) -> dict[str, str]:
        """Return the records that are not what they were, with the reason: an evaluator that did not change gives
        another score."""
        assert self._witnesses is not None
        result = await self._witnesses(self._batch(outputs.records, number), Context())
        found = {}
        for record_id, scores in _by_record(result.evaluations).items():
            was = outputs.before[record_id].scores
            for name, score in scores.items():
                if name in was and abs(was[name] - score) > _SLACK:
                    found[record_id] = (
                        f"Its source or its transform has changed since: {name} gives {score:g} now, and gave "
                        f"{was[name]:g}"
                    )
        return found

    def _batch(self, records: Sequence[TransformedRecord], number: int) -> BatchTransformed:
        header = BatchHeader(
            run_id=self._rescoring_id,
            pipeline=self._pipeline,
            plan="",
            epoch=1,
            batch_id=ids.batch_id(self._rescoring_id, 0, 0, number),
            partition=0,
            slice=0,
            position=number,
            tally=Tally(),
        )
        return BatchTransformed(header=header, records=tuple(records))


def _by_record(evaluations: Sequence[Evaluation]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for each in evaluations:
        if each.score is not None:
            found.setdefault(each.record_id, {})[each.name] = each.score
    return found


def _gone(record_id: str, reason: str) -> dict[str, Any]:
    nothing = dict.fromkeys(("scores_before", "scores", "record_data", "output"))
    return {"record_id": record_id, "before": PASSED, "after": GONE, "loaded": True, "reason": reason, **nothing}
