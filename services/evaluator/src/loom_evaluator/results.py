"""Describes the results of one record: the answer of each evaluator, and the verdict of the gate."""

from __future__ import annotations

from loom_common.contracts.v1 import Evaluation, Interaction, TransformedRecord
from loom_common.domain.run.calls import Tier
from loom_common.domain.run.gates import Score, Verdict
from loom_common.domain.values.per_record import per_record
from loom_common.errors import RecordError
from loom_common.text import bounded, storable
from loom_evaluator.evaluators.opinion import Opinion

_LONGEST = 20_000
"""The number of characters of an explanation that are kept."""


@per_record
class Answer:
    """Holds one evaluator's opinion, or why it has none."""

    opinion: Opinion | RecordError
    seconds: float
    interactions: tuple[Interaction, ...] = ()


@per_record
class RecordResult:
    """Says what became of one record: its scores, and the gate's verdict or the error that prevented one."""

    record: TransformedRecord
    scores: tuple[Score, ...]
    evaluations: tuple[Evaluation, ...]
    outcome: Verdict | RecordError
    scored: bool = True
    """False where the sample left it out: it passes unseen."""


def _told(explanation: str | None) -> str | None:
    return None if explanation is None else bounded(storable(explanation), _LONGEST)


def evaluation_of(
    record_id: str, name: str, answer: Answer, score: Score | None, by: tuple[Tier, str] | None = None
) -> Evaluation:
    """Return an answer as it is told and kept. Without a score it is the evaluator's error. `by` is the tier of a
    cascade that gave the score, with its name."""
    tier, answered_by = (None, None) if by is None else by
    return Evaluation(
        record_id=record_id,
        name=name,
        score=None if score is None else score.value,
        passed=None if score is None else score.passed,
        explanation=_told(str(answer.opinion) if score is None else score.explanation),
        seconds=round(answer.seconds, 6),
        confidence=None if score is None else score.confidence,
        interactions=answer.interactions,
        tier=tier,
        answered_by=answered_by,
    )
