"""Runs a plan's evaluators and its gate on each record."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from loom_ai.http.endpoints import calls_at_once, endpoint_of
from loom_ai.journal.models import JournalledModels, Reuse
from loom_common.contracts.v1 import Evaluation, TransformedRecord
from loom_common.domain.definition.evaluation import EvaluateConfig
from loom_common.domain.definition.evaluator_kinds import EvaluatorConfig
from loom_common.domain.definition.evaluators import ModelJudged
from loom_common.domain.marks import TIMEOUT
from loom_common.domain.model_options.providers import ProviderConfig
from loom_common.domain.run import gates
from loom_common.domain.run.calls import CHEAP, DEAR, Tier
from loom_common.domain.run.gates import BUILTIN, PASSED, Score, Verdict
from loom_common.domain.values.per_record import per_record
from loom_common.domain.values.sampling import sampled
from loom_common.errors import RecordError
from loom_common.statistics.cascades import Band
from loom_common.text import named
from loom_common.user_code.event_loop import UserLoop
from loom_common.user_code.poison_isolation import MODEL_CALLS, USER_CODE
from loom_common.user_code.threads import Threads
from loom_common.worker.context import Context, Progress
from loom_evaluator.cascade import Verdicts, cascaded, cheap_rules, decided
from loom_evaluator.evaluators.catalog import model_rule_of, rule_of
from loom_evaluator.evaluators.opinion import AsyncRule, ModelRule, Opinion, cannot_score
from loom_evaluator.gates import Gate, gate_of
from loom_evaluator.model_calls import ModelEvaluations
from loom_evaluator.results import Answer, RecordResult, evaluation_of
from loom_evaluator.without_models import Evaluator, answered, awaited, too_late


@per_record
class _Row:
    """Holds a record with what was answered about it so far, by the name of the evaluator."""

    record: TransformedRecord
    given: dict[str, Answer]

    @property
    def id(self) -> str:
        return self.record.id


class EvaluatorRunner:
    """Evaluates the records of a batch. An error of one record is its result, and is not raised."""

    def __init__(
        self,
        config: EvaluateConfig,
        folder: Path,
        threads: Threads | None = None,
        record_seconds: float = 120.0,
        models: JournalledModels | None = None,
        *,
        reuse: bool = True,
        providers: Mapping[str, ProviderConfig] | None = None,
        pipeline: str = "",
        calibrators: Mapping[str, Callable[[float], float]] | None = None,
        bands: Mapping[str, Band] | None = None,
        sealed: bool = False,
    ) -> None:
        """Take `reuse`, which says whether answers that earlier runs paid for may be used, where the pipeline allows
        it; `calibrators`, which turn the scores of the evaluators that they are named for into probabilities; `bands`,
        which say where the cascades of evaluators ask their judge; and `sealed`, whether the records hold sensitive
        values.
        Raises `PermanentError` where an evaluator or the gate cannot be made."""
        self._threads = threads or Threads()
        self._loop = UserLoop(self._threads)
        self._seconds = record_seconds
        self._sample = config.sample
        self._calibrators = calibrators or {}
        judging = [each for each in config.evaluators if isinstance(each, ModelJudged)]
        self.cascaded = [each for each in judging if each.cascade is not None]
        """The evaluators that have a cheap tier."""
        self._judges = {each.name: each.model or config.model or "" for each in self.cascaded}
        self._verdicts = {each.name: Verdicts(each, (bands or {}).get(each.name)) for each in self.cascaded}
        cheap = cheap_rules(self.cascaded, folder)
        self._cheap = {
            each.name: Evaluator(each.cascade.cheap, cheap[each.name])
            for each in self.cascaded
            if each.cascade is not None and each.name in cheap
        }
        """The cheap tiers that ask no model."""

        def judge_of(judge: ModelJudged) -> ModelRule:
            rule = model_rule_of(judge, config, providers, pipeline)
            if judge.cascade is None or judge.name in self._cheap:
                return rule
            first = model_rule_of(judge.cascade.cheap, config, providers, pipeline, CHEAP)
            return cascaded(first, rule, self._verdicts[judge.name])

        judges = {each.name: judge_of(each) for each in judging}
        self._settings = config.evaluators
        scoring = [Evaluator(each, rule_of(each, folder)) for each in config.evaluators if each.name not in judges]
        self._apart = [each for each in scoring if each.is_foreign or isinstance(each.rule, AsyncRule)]
        """Holds the evaluators that may take their time: each goes through the records of a batch by itself."""
        self._quick = {
            each.settings.name: each.rule
            for each in scoring
            if not each.is_foreign and not isinstance(each.rule, AsyncRule)
        }
        self._model_evaluations = None
        if judges and models is not None:
            may = Reuse(enabled=reuse and config.cache.enabled, max_age=config.cache.max_age)
            self._model_evaluations = ModelEvaluations(
                models,
                judges,
                may,
                record_seconds,
                config.keep_interactions,
                sealed,
                _asked_at_once(config, providers or {}),
            )
        self._gate: Gate = gate_of(config.quality_gate, folder)
        self._gate_name = config.quality_gate.type
        foreign = any(each.is_foreign for each in (*scoring, *self._cheap.values())) or self._gate_name not in (
            *BUILTIN,
            "weighted",
        )
        self.risk = USER_CODE if foreign else MODEL_CALLS if judges else None
        """The risk of its code for the process it runs in; None for none."""

    async def judge(
        self, run_id: str, records: Sequence[TransformedRecord], context: Context, again: int = 0
    ) -> list[RecordResult]:
        """Return one result per record, in order. Records that the sample leaves out pass unseen. Evaluators that
        compute run in a thread; model calls are entered in the records' usage. `again` is how often this worker
        evaluated these records before.

        Raises `WorkerWornOut`, and what `ModelEvaluations.about` raises."""
        seen = iter(await self._judged_all(run_id, [each for each in records if self._sees(each)], context, again))
        return [next(seen) if self._sees(each) else _unseen(each) for each in records]

    def _sees(self, record: TransformedRecord) -> bool:
        return sampled(record.id, self._sample)

    async def _judged_all(
        self, run_id: str, records: Sequence[TransformedRecord], context: Context, again: int
    ) -> list[RecordResult]:
        progress = context.progress
        asked = 0 if self._model_evaluations is None else len(self._model_evaluations.rules)
        at_once = None if self._model_evaluations is None else self._model_evaluations.at_once
        parts = len(self._apart) + len(self._cheap) + asked + 1
        progress.begin(len(records) * parts, answers=len(records) * asked, at_once=at_once)
        columns = await asyncio.gather(*(self._column(each, records, progress) for each in self._apart))
        heard: Sequence[dict[str, Answer]] = [{} for _ in records]
        if self._model_evaluations is not None:
            cheap = dict(
                zip(
                    self._cheap,
                    await asyncio.gather(*(self._column(each, records, progress) for each in self._cheap.values())),
                    strict=True,
                )
            )
            known = [decided(cheap, self._verdicts, place) for place in range(len(records))]
            heard = await self._model_evaluations.about(run_id, records, context, again, known)
        rows = [
            _Row(
                record,
                {each.settings.name: column[place] for each, column in zip(self._apart, columns, strict=True)}
                | heard[place],
            )
            for place, record in enumerate(records)
        ]

        def judged(row: _Row) -> RecordResult:
            result = self._judged(row)
            progress.one_done()
            return result

        return await self._threads.each(rows, judged, self._seconds, late=self._late)

    async def _column(
        self, evaluator: Evaluator, records: Sequence[TransformedRecord], progress: Progress
    ) -> list[Answer]:
        """Return what an evaluator that may take its time says of each record."""
        seconds = min(self._seconds, evaluator.seconds)
        rule = evaluator.rule
        if isinstance(rule, AsyncRule):
            return await awaited(rule, records, seconds, self._loop)

        def one(record: TransformedRecord) -> Answer:
            answer = answered(rule, record)
            progress.one_done()
            return answer

        return await self._threads.each(records, one, seconds, late=lambda _: too_late(seconds))

    def _judged(self, row: _Row) -> RecordResult:
        answers = [row.given.get(each.name) or answered(self._quick[each.name], row.record) for each in self._settings]
        return self._result(row, answers)

    def _late(self, row: _Row) -> RecordResult:
        error = RecordError(f"The evaluators did not come back within {self._seconds:g} s", code=TIMEOUT)
        return RecordResult(row.record, (), (), error)

    def _result(self, row: _Row, answers: Sequence[Answer]) -> RecordResult:
        scores: list[Score] = []
        evaluations: list[Evaluation] = []
        failure: RecordError | None = None
        for settings, answer in zip(self._settings, answers, strict=True):
            score = _score(settings, answer.opinion, self._calibrators.get(settings.name))
            by = None if score is None else self._answered_by(settings.name, answer)
            evaluations.append(evaluation_of(row.record.id, settings.name, answer, score, by))
            if score is not None:
                scores.append(score)
            elif isinstance(error := answer.opinion, RecordError) and failure is None:
                failure = RecordError(f"Evaluator {settings.name}: {error}", code=error.code, details=error.details)
        outcome = failure or self._decide(scores)
        return RecordResult(row.record, tuple(scores), tuple(evaluations), outcome)

    def _answered_by(self, name: str, answer: Answer) -> tuple[Tier, str] | None:
        """Return the tier of an evaluator's cascade that gave an answer, with its name; None without a cascade."""
        if name not in self._judges:
            return None
        cheap = answer.opinion.decided_by if isinstance(answer.opinion, Opinion) else None
        return (DEAR, self._judges[name]) if cheap is None else (CHEAP, cheap)

    def _decide(self, scores: Sequence[Score]) -> Verdict | RecordError:
        try:
            return gates.decide(self._gate, scores, self._gate_name)
        except BaseException as error:  # noqa: BLE001 - a custom gate may raise anything
            return cannot_score(f"Quality gate {self._gate_name} raised {named(error)}")


def _asked_at_once(config: EvaluateConfig, providers: Mapping[str, ProviderConfig]) -> int | None:
    asked = (config.endpoint_settings(each, providers) for each in config.evaluators if isinstance(each, ModelJudged))
    return calls_at_once(
        endpoint_of(model, base_url, providers=providers, api_key=api_key) for model, base_url, api_key in asked
    )


def _unseen(record: TransformedRecord) -> RecordResult:
    return RecordResult(record, (), (), PASSED, scored=False)


def _score(
    settings: EvaluatorConfig, opinion: Opinion | RecordError, calibrator: Callable[[float], float] | None
) -> Score | None:
    if isinstance(opinion, RecordError):
        return None
    value = opinion.value if calibrator is None else calibrator(opinion.value)
    return Score(settings.name, value, settings.threshold, settings.weight, opinion.explanation, opinion.confidence)
