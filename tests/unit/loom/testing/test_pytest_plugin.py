"""Tests the plugin of pytest with pytest itself: what it collects, what its fixtures run, and what it says."""

import shutil

import pytest

from support.tested_pipelines import ReadingModel, change, project

pytest_plugins = ["pytester"]
MODULE = """
import pytest
from loom_common.errors import ConfigurationError

def test_praise(loom_pipeline):
    moods = loom_pipeline("../pipeline.yaml")
    good, unsure = moods.run_all([{"id": 1, "review": "It is good."}, {"id": 2, "review": "Hm."}])
    assert good.passed and good.output["mood"] == "positive" and good.scores == {"sure": 1.0}
    assert not unsure.passed and unsure.stage == "evaluate"

async def test_inside_a_loop(loom_pipeline):
    assert loom_pipeline("moods").run({"id": 1, "review": "It is good."}).passed

def test_its_own_tests(loom_tests):
    report = loom_tests("moods", filter="praise")
    assert (report.exit_code, len(report.results), report.calls) == (0, 1, 0), report
"""


@pytest.fixture
def here(pytester, recorded_files, monkeypatch):
    """Runs pytest in a project whose tests of pipelines are recorded; gives its model, too."""
    project(pytester.path)
    shutil.copytree(recorded_files / "tests", pytester.path / "tests", dirs_exist_ok=True)
    for name in ("LOOM_BUS_URL", "LOOM_STATE_URL", "LOOM_JOURNAL_URL", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    pytester.model = ReadingModel()
    monkeypatch.setattr("loom_ai.compose.FirstCallClient", pytester.model)

    def run(*arguments):
        quick = ("-p", "no:logfire", "-p", "no:xdist", "-p", "no:cacheprovider", "-o", "asyncio_mode=auto")
        quick += ("-o", "asyncio_default_fixture_loop_scope=function")
        return pytester.runpytest_inprocess(*quick, *arguments)

    pytester.tested = run
    return pytester


def test_files_of_tests_are_collected_and_run_for_nothing(here):
    result = here.tested("-v")
    result.assert_outcomes(passed=6)
    result.stdout.fnmatch_lines(["tests/moods.yaml::they arrive PASSED*"])
    assert not here.model.calls


def test_a_failure_says_what_was_expected_without_a_traceback(here):
    change(here.path / "tests/moods.yaml", "exact: {mood: negative}", "exact: {mood: neutral}")
    result = here.tested("-k", "irony or praise")
    result.assert_outcomes(passed=1, failed=1, deselected=4)
    result.stdout.fnmatch_lines(['exact.mood: expected "neutral", found "negative"'])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_a_mistake_in_a_file_is_an_error_of_its_collection(here):
    change(here.path / "tests/moods.yaml", "exact: {mood: negative}", "exakt: {mood: negative}")
    result = here.tested()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*tests/moods.yaml:7:28: tests*Did you mean 'exact'*"])


def test_the_fixtures_run_a_pipeline_and_record_beside_the_module(here):
    (here.path / "tests/test_moods.py").write_text(MODULE)
    missing = here.tested("tests/test_moods.py", "-k", "praise")
    missing.assert_outcomes(failed=1, deselected=2)
    missing.stdout.fnmatch_lines(["*is recorded for this question*"])
    here.tested("tests/test_moods.py", "--loom-update").assert_outcomes(passed=3)
    assert len(here.model.calls) == 2
    here.tested("tests/test_moods.py", "-k", "praise").assert_outcomes(passed=1, deselected=2)
    assert len(here.model.calls) == 2
    assert (here.path / "tests/cassettes/test_moods.json").exists()
