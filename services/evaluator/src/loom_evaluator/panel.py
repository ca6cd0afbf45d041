"""A plan's evaluators and its gate: the panel that judges each record."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import cast

from loom_common.contracts.v1 import Evaluation, TransformedRecord
from loom_common.domain import gates
from loom_common.domain.evaluators import EvaluatorConfig
from loom_common.domain.gates import Score, Verdict
from loom_common.domain.pipeline import EvaluateConfig
from loom_common.errors import RecordError
from loom_evaluator.custom_gates import Gate, gate_of
from loom_evaluator.evaluators.catalog import rule_of
from loom_evaluator.evaluators.opinion import AsyncRule, Opinion, Rule, cannot_score

_AT_ONCE = 32
"""Records that one asynchronous evaluator looks at concurrently."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What became of one record: its scores, and the gate's verdict or the error that prevented one."""

    record: TransformedRecord
    scores: tuple[Score, ...]
    evaluations: tuple[Evaluation, ...]
    outcome: Verdict | RecordError


@dataclass(frozen=True, slots=True)
class _Answer:
    opinion: Opinion | RecordError
    seconds: float


@dataclass(frozen=True, slots=True)
class _Evaluator:
    settings: EvaluatorConfig
    rule: Rule | AsyncRule

    @property
    def waits(self) -> bool:
        return inspect.iscoroutinefunction(self.rule)


class Panel:
    """Judges the records of a batch. Raises nothing for a record: its error is its judgement."""

    def __init__(self, config: EvaluateConfig, folder: Path) -> None:
        self._evaluators = [_Evaluator(settings, rule_of(settings, folder)) for settings in config.evaluators]
        self._gate: Gate = gate_of(config.quality_gate, folder)
        self._gate_name = config.quality_gate.type

    async def judge(self, records: Sequence[TransformedRecord]) -> list[Judgement]:
        """One judgement per record, in order. What computes does so in a thread, once per batch."""
        waiting = [evaluator for evaluator in self._evaluators if evaluator.waits]
        awaited = await asyncio.gather(*(_awaited(cast("AsyncRule", each.rule), records) for each in waiting))
        by_name = {each.settings.name: answers for each, answers in zip(waiting, awaited, strict=True)}
        return await asyncio.to_thread(self._judge, records, by_name)

    def _judge(self, records: Sequence[TransformedRecord], awaited: dict[str, list[_Answer]]) -> list[Judgement]:
        columns = [
            awaited[each.settings.name]
            if each.waits
            else [_answer(cast("Rule", each.rule), record) for record in records]
            for each in self._evaluators
        ]
        rows = zip(*columns, strict=True)
        return [self._judgement(record, row) for record, row in zip(records, rows, strict=True)]

    def _judgement(self, record: TransformedRecord, answers: Sequence[_Answer]) -> Judgement:
        scores: list[Score] = []
        evaluations: list[Evaluation] = []
        failure: RecordError | None = None
        for evaluator, answer in zip(self._evaluators, answers, strict=True):
            settings, opinion = evaluator.settings, answer.opinion
            if isinstance(opinion, RecordError):
                failure = failure or cannot_score(f"Evaluator {settings.name}: {opinion}")
                continue
            score = Score(
                settings.name, opinion.value, settings.threshold, settings.weight, explanation=opinion.explanation
            )
            scores.append(score)
            evaluations.append(_evaluation(record, score, answer.seconds))
        return Judgement(record, tuple(scores), tuple(evaluations), failure or self._decide(scores))

    def _decide(self, scores: Sequence[Score]) -> Verdict | RecordError:
        try:
            return gates.decide(self._gate, scores, self._gate_name)
        except Exception as error:  # noqa: BLE001 - a custom gate may raise anything
            return cannot_score(f"Quality gate {self._gate_name} raised {type(error).__name__}: {error}")


async def _awaited(rule: AsyncRule, records: Sequence[TransformedRecord]) -> list[_Answer]:
    room = asyncio.Semaphore(_AT_ONCE)

    async def one(record: TransformedRecord) -> _Answer:
        async with room:
            began = perf_counter()
            try:
                return _Answer(await rule(record), perf_counter() - began)
            except RecordError as error:
                return _Answer(error, perf_counter() - began)

    return await asyncio.gather(*map(one, records))


def _answer(rule: Callable[[TransformedRecord], Opinion], record: TransformedRecord) -> _Answer:
    began = perf_counter()
    try:
        return _Answer(rule(record), perf_counter() - began)
    except RecordError as error:
        return _Answer(error, perf_counter() - began)


def _evaluation(record: TransformedRecord, score: Score, seconds: float) -> Evaluation:
    return Evaluation(
        record_id=record.id,
        name=score.name,
        score=score.value,
        passed=score.passed,
        explanation=score.explanation,
        seconds=round(seconds, 6),
    )
