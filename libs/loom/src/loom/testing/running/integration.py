"""Runs integration tests: from the source into a destination of the same kind in a temporary place."""

from __future__ import annotations

from loom.testing import under_test
from loom.testing.compare import run
from loom.testing.definition.suite import IntegrationCase
from loom.testing.outcomes import Failure
from loom.testing.running.round import Found, Round
from loom_ai.recordings.recorder import tells_of_no_answer
from loom_common.errors import ConfigurationError


async def checked(round_: Round, case: IntegrationCase) -> dict[str, Found]:
    """Return what the test came to, by name. Raises `LoomError` where the pipeline cannot run."""
    loaded, place = round_.suite.loaded, round_.trials.new_place()
    named = case.destination or loaded.pipeline.load.destination
    destination = under_test.place_for(named, place)
    trial = await round_.trials.into(
        loaded, round_.params_of(case), destination, round_.source_of(case.source), round_.sample_of(case)
    )
    without = [each for each in trial.kept.values() if tells_of_no_answer(each.code, each.failure_reason)]
    if without or tells_of_no_answer(None, trial.error):
        found = f"{len(without)} records without one"
        why = without[0].failure_reason if without else trial.error
        return {case.name: Found([Failure("recording", "a recorded answer for each question", found, why)])}
    if trial.report is None:
        raise ConfigurationError(trial.error or "The run was paused.")
    loaded_rows = trial.report.records.get("loaded", 0)
    rows = await round_.trials.rows_of(destination) if loaded_rows else []
    to = run.compare(case.expect, trial.report, rows)
    return {case.name: Found(to.failures, measured=to.measured)}
