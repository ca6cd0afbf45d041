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
from loom_common.domain import durations, gates
from loom_common.domain.evaluators import EvaluatorConfig, PythonEvaluator, Regex
from loom_common.domain.gates import BUILTIN, Score, Verdict
from loom_common.domain.marks import TIMEOUT
from loom_common.domain.pipeline import EvaluateConfig
from loom_common.errors import RecordError
from loom_common.isolation import USER_CODE
from loom_common.threads import Threads
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

    @property
    def is_foreign(self) -> bool:
        """Whether it is the user's code; a regular expression is, too: it can hang, and holds everything up."""
        return isinstance(self.settings, PythonEvaluator | Regex)

    @property
    def seconds(self) -> float:
        """What one record may take."""
        own = self.settings.timeout if isinstance(self.settings, PythonEvaluator) else None
        return float("inf") if own is None else durations.seconds(own)


@dataclass(frozen=True, slots=True)
class _Row:
    """A record with what was answered about it so far, by the name of the evaluator."""

    record: TransformedRecord
    given: dict[str, _Answer]

    @property
    def id(self) -> str:
        return self.record.id


class Panel:
    """Judges the records of a batch. Raises nothing for a record: its error is its judgement."""

    def __init__(
        self, config: EvaluateConfig, folder: Path, threads: Threads | None = None, record_seconds: float = 120.0
    ) -> None:
        self._threads = threads or Threads()
        self._seconds = record_seconds
        self._evaluators = [_Evaluator(settings, rule_of(settings, folder)) for settings in config.evaluators]
        self._gate: Gate = gate_of(config.quality_gate, folder)
        self._gate_name = config.quality_gate.type
        foreign = any(each.is_foreign for each in self._evaluators) or self._gate_name not in (*BUILTIN, "weighted")
        self.risk = USER_CODE if foreign else None
        """What it is to the process it runs in; None for none."""

    async def judge(self, records: Sequence[TransformedRecord]) -> list[Judgement]:
        """One judgement per record, in order. What computes does so in a thread. Raises `WorkerWornOut`."""
        apart = [each for each in self._evaluators if each.waits or each.is_foreign]
        columns = await asyncio.gather(*(self._column(each, records) for each in apart))
        rows = [
            _Row(record, {each.settings.name: column[place] for each, column in zip(apart, columns, strict=True)})
            for place, record in enumerate(records)
        ]
        return await self._threads.each(rows, self._judged, self._seconds, late=self._late)

    async def _column(self, evaluator: _Evaluator, records: Sequence[TransformedRecord]) -> list[_Answer]:
        """What an evaluator that may take its time says of each record."""
        seconds = min(self._seconds, evaluator.seconds)
        if evaluator.waits:
            return await _awaited(cast("AsyncRule", evaluator.rule), records, seconds)
        rule = cast("Rule", evaluator.rule)
        return await self._threads.each(
            records, lambda record: _answer(rule, record), seconds, late=lambda _: _too_late(seconds)
        )

    def _judged(self, row: _Row) -> Judgement:
        answers = [
            row.given.get(each.settings.name) or _answer(cast("Rule", each.rule), row.record)
            for each in self._evaluators
        ]
        return self._judgement(row.record, answers)

    def _late(self, row: _Row) -> Judgement:
        error = RecordError(f"The evaluators did not come back within {self._seconds:g} s", code=TIMEOUT)
        return Judgement(row.record, (), (), error)

    def _judgement(self, record: TransformedRecord, answers: Sequence[_Answer]) -> Judgement:
        scores: list[Score] = []
        evaluations: list[Evaluation] = []
        failure: RecordError | None = None
        for evaluator, answer in zip(self._evaluators, answers, strict=True):
            settings, opinion = evaluator.settings, answer.opinion
            if isinstance(opinion, RecordError):
                failure = failure or RecordError(f"Evaluator {settings.name}: {opinion}", code=opinion.code)
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


async def _awaited(rule: AsyncRule, records: Sequence[TransformedRecord], seconds: float) -> list[_Answer]:
    room = asyncio.Semaphore(_AT_ONCE)

    async def one(record: TransformedRecord) -> _Answer:
        async with room:
            began = perf_counter()
            try:
                async with asyncio.timeout(seconds):
                    return _Answer(await rule(record), perf_counter() - began)
            except TimeoutError:
                return _too_late(seconds)
            except RecordError as error:
                return _Answer(error, perf_counter() - began)

    return await asyncio.gather(*map(one, records))


def _too_late(seconds: float) -> _Answer:
    return _Answer(RecordError(f"no score within {seconds:g} s", code=TIMEOUT), seconds)


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
