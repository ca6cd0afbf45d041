"""Lets the cheap tier of an evaluator decide where its score does, so that the judge is asked about the other records
alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from loom_common.contracts.v1 import CheckCount, TransformedRecord
from loom_common.domain.checks.cascade_file import by_hand
from loom_common.domain.definition.evaluators import ModelJudged
from loom_common.domain.run.calls import DEAR
from loom_common.errors import RecordError
from loom_common.statistics.cascades import Band
from loom_evaluator.evaluation_call import EvaluationCall
from loom_evaluator.evaluators.catalog import rule_of
from loom_evaluator.evaluators.opinion import AsyncRule, ModelRule, Opinion, Rule
from loom_evaluator.results import Answer, RecordResult


class Verdicts:
    """Reads verdicts from the scores of the cheap tier of one evaluator."""

    def __init__(self, judge: ModelJudged, band: Band | None = None) -> None:
        """Take the `band` of scores in which the judge is asked; without one, it is that of the definition."""
        assert judge.cascade is not None
        assert judge.threshold is not None
        self._name = judge.cascade.cheap.name
        self._threshold = judge.threshold
        self._band = by_hand(judge.cascade) if band is None else band

    def of(self, opinion: Opinion | RecordError) -> Opinion | None:
        """Return what the cheap tier decides; None where the judge has to be asked. A score that decides is moved to
        the side of the evaluator's threshold that it decides for, because the two tiers need not score alike."""
        if isinstance(opinion, RecordError) or self._band.asks(opinion.value):
            return None
        score = opinion.value
        if score >= self._band.high:
            value, words = max(score, self._threshold), f"from {self._band.high:g} up it passes unasked"
        else:
            value, words = min(score, _below(self._threshold)), f"below {self._band.low:g} it fails unasked"
        why = f" ({opinion.explanation})" if opinion.explanation else ""
        return Opinion(value, f"{self._name} scores {score:.4g}, and {words}{why}", opinion.confidence, self._name)


def cascaded(cheap: ModelRule, judge: ModelRule, verdicts: Verdicts) -> ModelRule:
    """Return a rule that asks the cheap model, and the judge where that does not decide. A cheap model that gives no
    usable answer decides nothing."""

    async def rule(record: TransformedRecord, evaluation_call: EvaluationCall) -> Opinion:
        try:
            decided = verdicts.of(await cheap(record, evaluation_call))
        except RecordError:
            decided = None
        return await judge(record, evaluation_call) if decided is None else decided

    return rule


def cheap_rules(judges: Sequence[ModelJudged], folder: Path) -> dict[str, Rule | AsyncRule]:
    """Return the rules of cheap tiers that ask no model, by the names of the evaluators that they are tiers of. Raises
    `PermanentError` where one cannot be made."""
    return {
        judge.name: rule_of(judge.cascade.cheap, folder)
        for judge in judges
        if judge.cascade is not None and not isinstance(judge.cascade.cheap, ModelJudged)
    }


def decided(columns: Mapping[str, Sequence[Answer]], verdicts: Mapping[str, Verdicts], place: int) -> dict[str, Answer]:
    """Return the answers that cheap tiers give about the record at a place, by evaluator; none for those whose judge
    has to be asked."""
    found = {}
    for name, column in columns.items():
        answer = column[place]
        if (opinion := verdicts[name].of(answer.opinion)) is not None:
            found[name] = Answer(opinion, answer.seconds)
    return found


def counted(judges: Sequence[ModelJudged], results: Sequence[RecordResult]) -> tuple[CheckCount, ...]:
    """Count for each cascade the records that were scored, and those of them that the judge was asked about."""
    counts = []
    for judge in judges:
        tiers = [said.tier for each in results for said in each.evaluations if said.name == judge.name and said.tier]
        counts.append(CheckCount(name=judge.name, seen=len(tiers), missed=tiers.count(DEAR)))
    return tuple(counts)


def _below(threshold: float) -> float:
    return max(0.0, math.nextafter(threshold, 0.0))
