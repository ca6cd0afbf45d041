"""Tests rates and remaining time from one word of progress to the next."""

import pytest

from loom.cli.output.rates import RunRates
from loom_common.contracts.v1 import RunProgress, StageProgress
from loom_common.domain.run.tally import Tally
from loom_common.flow import Stage


def progress(elapsed, done, *, total=None, **tally):
    stages = {
        stage: StageProgress(records_in=n, records_out=n, seconds=0.0) for stage, n in zip(Stage, done, strict=True)
    }
    return RunProgress(
        run_id="run_1",
        pipeline="p",
        status="running",
        tally=Tally(**tally),
        total=total,
        stages=stages,
        elapsed=elapsed,
    )


def test_the_first_word_gives_the_rate_since_the_start():
    pace = RunRates()
    pace.heard(progress(2.0, (200, 100, 50, 40)))
    assert pace.rate(Stage.EXTRACT) == 100
    assert pace.rate(Stage.LOAD) == 20


def test_a_rate_follows_a_change_smoothly():
    pace = RunRates()
    pace.heard(progress(1.0, (100, 0, 0, 0)))
    pace.heard(progress(2.0, (100, 0, 0, 0)))
    assert pace.rate(Stage.EXTRACT) == pytest.approx(80)


def test_the_remaining_time_is_what_is_left_at_this_rate():
    pace = RunRates()
    pace.heard(progress(1.0, (100, 50, 50, 25), total=100))
    assert pace.remaining(Stage.TRANSFORM) == pytest.approx(1.0)
    assert pace.remaining(Stage.LOAD) == pytest.approx(3.0)
    assert pace.remaining(Stage.EXTRACT) is None


def test_without_a_total_there_is_no_goal_unless_it_was_known_before():
    first = progress(1.0, (100, 0, 0, 0))
    unknown, known = RunRates(), RunRates(expected=400)
    unknown.heard(first)
    known.heard(first)
    assert (unknown.goal(Stage.EXTRACT), unknown.remaining(Stage.EXTRACT)) == (None, None)
    assert (known.goal(Stage.EXTRACT), known.remaining(Stage.EXTRACT)) == (400, pytest.approx(3.0))


def test_what_was_kept_back_is_not_waited_for():
    pace = RunRates()
    pace.heard(progress(1.0, (100, 90, 90, 60), total=100, rejected=30, quarantined=10))
    assert [pace.goal(stage) for stage in Stage] == [100, 90, 90, 60]


def test_a_goal_is_never_less_than_what_is_done():
    pace = RunRates()
    pace.heard(progress(1.0, (100, 100, 100, 90), total=100, quarantined=10))
    assert pace.goal(Stage.EVALUATE) == 100


def test_before_the_first_word_nothing_is_known():
    assert (RunRates().rate(Stage.LOAD), RunRates().goal(Stage.LOAD), RunRates().done(Stage.LOAD)) == (None, None, 0)
