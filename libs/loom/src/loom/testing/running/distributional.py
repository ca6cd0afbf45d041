"""Runs distributional tests: one run over the records that they share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from loom.testing.compare.distribution import Comparison, Distribution, FieldValues, compare_field
from loom.testing.definition.suite import DistributionalCase
from loom.testing.earlier_run import names_run
from loom.testing.outcomes import Failure
from loom.testing.running.round import Found, Round, refuse_failed
from loom.testing.trial import Trial
from loom_ai.recordings.recorder import tells_of_no_answer


async def checked(round_: Round, cases: Sequence[DistributionalCase]) -> dict[str, Found]:
    """Return what each test came to, by name. Raises `LoomError` where the pipeline cannot run."""
    first = cases[0]
    trial = await round_.trials.over_source(
        round_.suite.loaded, round_.params_of(first), round_.source_of(first.source), round_.sample_of(first)
    )
    if (unanswered := _unanswered(trial)) is not None:
        return {case.name: Found([unanswered]) for case in cases}
    refuse_failed(trial.error)
    return {case.name: await _found(round_, case, trial) for case in cases}


def _unanswered(trial: Trial) -> Failure | None:
    """Return the failure where records were kept back for want of a recorded answer."""
    without = [
        each.failure_reason for each in trial.kept.values() if tells_of_no_answer(each.code, each.failure_reason)
    ]
    if not without and not tells_of_no_answer(None, trial.error):
        return None
    found = f"{len(without)} of {len(trial.kept) + len(trial.loaded)} records without one"
    return Failure("recording", "a recorded answer for each question", found, without[0] if without else trial.error)


async def _found(round_: Round, case: DistributionalCase, trial: Trial) -> Found:
    to, expected = Comparison(), case.expect
    records = len(trial.loaded) + len(trial.kept)
    to.measured["records"] = records
    to.bound("pass_rate", expected.pass_rate, len(trial.loaded) / records if records else None)
    evaluation = trial.report.evaluation if trial.report is not None else {}
    for name, bounds in expected.scores.items():
        summary = evaluation.get(name)
        to.bound(f"scores.{name}", bounds, None if summary is None else summary.mean)
    outputs = _outputs(trial, case.of)
    for name, field in expected.fields.items():
        values = FieldValues.of(outputs, name)
        base = None if field.drift is None else await _baseline(round_, case, name, field.drift.baseline, values)
        compare_field(to, name, field, values, base)
    return Found(to.failures, measured=to.measured)


def _outputs(trial: Trial, of: str) -> list[Mapping[str, Any]]:
    outputs = list(trial.loaded.values())
    if of == "all":
        outputs += [each.output for each in trial.kept.values() if isinstance(each.output, dict)]
    return outputs


async def _baseline(
    round_: Round, case: DistributionalCase, name: str, location: str | None, found: FieldValues
) -> Distribution | None:
    """Return what the field is compared with: the outputs of a run, rows that lie somewhere, or what was stored, which
    `--update` stores where it is missing, and anew with `--live`."""
    if location is not None and names_run(location):
        earlier = await round_.trials.outputs_of_run(location)
        return _read_as(found, FieldValues.of(earlier.of(case.of), name))
    if location is not None:
        rows = await round_.trials.rows_of(round_.source_of(location) or location)
        return _read_as(found, FieldValues.of(rows, name))
    options = round_.options
    if options.update and options.sample is None and (options.live or round_.baselines.of(case.name, name) is None):
        round_.baselines.keep(case.name, name, found.distribution)
    return round_.baselines.of(case.name, name)


def _read_as(found: FieldValues, base: FieldValues) -> Distribution:
    """Return the values of a baseline as numbers where those found are: a CSV file has texts alone."""
    if not isinstance(found.distribution, list):
        return base.counts
    numbers = []
    for value in base.values:
        try:
            numbers.append(float(value))
        except (TypeError, ValueError):
            return base.counts
    return numbers
