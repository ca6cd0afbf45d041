"""Runs unit tests: one run over all their records."""

from __future__ import annotations

from collections.abc import Sequence

from loom.testing import under_test
from loom.testing.compare import record
from loom.testing.compare.record import RecordOutcome
from loom.testing.definition.expectations import Meaning
from loom.testing.definition.suite import UnitCase
from loom.testing.outcomes import Failure
from loom.testing.running.round import Found, Round
from loom.testing.trial import Trial, Trials, ids_of
from loom_ai.recordings.recorder import tells_of_no_answer
from loom_common.domain.json_values.plain_values import NoPlainValue
from loom_common.errors import ConfigurationError


async def checked(round_: Round, cases: Sequence[UnitCase]) -> dict[str, Found]:
    """Return what each test came to, by name. Raises `LoomError` where the pipeline cannot run."""
    records = [case.input for case in cases]
    try:
        ids = ids_of(records)
    except NoPlainValue as error:
        raise ConfigurationError(f"An input of {round_.suite.path} is no record: {error}.") from None
    trial = await round_.trials.over_records(round_.suite.loaded, records, round_.params_of(cases[0]))
    outcomes = {case.name: await outcome_of(round_.trials, trial, name) for case, name in zip(cases, ids, strict=True)}
    judged = await _judged(round_, cases, outcomes)
    return {case.name: _found(case, outcomes[case.name], judged.get(case.name, []), trial) for case in cases}


async def outcome_of(trials: Trials, trial: Trial, record_id: str) -> RecordOutcome | None:
    """Return what became of a record; None where the run ended before it came to it."""
    if (kept := trial.kept.get(record_id)) is not None:
        return RecordOutcome(
            passed=False,
            output=kept.output if isinstance(kept.output, dict) else None,
            scores=dict(kept.evaluation_scores or {}),
            stage=kept.failure_stage,
            code=kept.code,
            reason=kept.failure_reason,
        )
    if (row := trial.loaded.get(record_id)) is not None:
        return RecordOutcome(passed=True, output=row, scores=await trials.scores(trial, record_id))
    return None


def _found(case: UnitCase, outcome: RecordOutcome | None, judged: Sequence[Failure], trial: Trial) -> Found:
    if outcome is None:
        return Found(error=trial.error or "The run ended without this record.")
    if tells_of_no_answer(outcome.code, outcome.reason):
        return Found([Failure("recording", "a recorded answer", "none", outcome.reason)])
    measured = {f"scores.{name}": score for name, score in outcome.scores.items() if score is not None}
    return Found([*record.failures(case.expect, outcome), *judged], measured=measured)


async def _judged(
    round_: Round, cases: Sequence[UnitCase], outcomes: dict[str, RecordOutcome | None]
) -> dict[str, list[Failure]]:
    """Have the meanings judged that tests expect, and return the failures by the test's name."""
    failures: dict[str, list[Failure]] = {}
    questions: dict[str | None, list[tuple[str, str, Meaning, str]]] = {}
    for case in cases:
        outcome = outcomes[case.name]
        for field, meaning in case.expect.semantic.items():
            try:
                if outcome is None or outcome.output is None:
                    raise KeyError(field)
                text = str(record.field_of(outcome.output, field))
            except KeyError:
                failures.setdefault(case.name, []).append(
                    Failure(f"semantic.{field}", record.shown(meaning.reference), "no such field")
                )
                continue
            questions.setdefault(meaning.model, []).append((case.name, field, meaning, text))
    for model, asked in questions.items():
        for (name, field, meaning, text), answer in zip(asked, await _scores(round_, model, asked), strict=True):
            score, why = answer
            if score is None or score < meaning.threshold:
                expected = f"a score of {meaning.threshold:g} at least against {record.shown(meaning.reference)}"
                found = "no score" if score is None else f"{score:g} for {record.shown(text)}"
                failures.setdefault(name, []).append(Failure(f"semantic.{field}", expected, found, why))
    return failures


async def _scores(
    round_: Round, model: str | None, asked: Sequence[tuple[str, str, Meaning, str]]
) -> list[tuple[float | None, str | None]]:
    """Return the score of each text against its reference; of one without a score, the reason."""
    loaded = under_test.judge(round_.suite.loaded, model)
    records = [{"text": text, "reference": meaning.reference} for _, _, meaning, text in asked]
    trial = await round_.trials.over_records(loaded, records, {})
    answers: list[tuple[float | None, str | None]] = []
    for record_id in ids_of(records):
        kept = trial.kept.get(record_id)
        scores = await round_.trials.scores(trial, record_id)
        score = next(iter(scores.values()), None)
        answers.append((score, kept.failure_reason if kept is not None else trial.error))
    return answers
