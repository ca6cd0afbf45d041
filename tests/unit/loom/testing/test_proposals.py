"""Tests which records are proposed as tests, and that what is proposed is a file of tests."""

import pytest
from ruamel.yaml import YAML

from loom.project.config import LoomConfig
from loom.project.definition_file import load
from loom.testing.definition.suite import Suite
from loom.testing.proposals import chosen, thresholds_of, written
from loom_quarantine.queries import WholeRecord
from support.tested_pipelines import change

THRESHOLDS = {"judge": 0.8}


def record(number, *, code="gate", stage="evaluate", scores=None, **more):
    values = {
        "id": number,
        "run_id": "run_1",
        "record_id": f"r{number}",
        "record_data": {"text": f"a\n# 'quoted' \u2028 {number}"},
        "failure_stage": stage,
        "failure_reason": "judge evaluator below threshold: [it, was] 'so'",
        "error_details": None,
        "evaluation_scores": scores,
        "quarantined_at": "2026-01-01T00:00:00+00:00",
        "resolved": False,
        "resolved_at": None,
        "resolution_action": None,
        "pipeline_name": "moods",
        "batch_id": None,
        "outcome": "rejected",
        "code": code,
        "output": {"mood": "x"},
        "attempts": 1,
        "replay_run_id": None,
    }
    return WholeRecord(**{**values, **more})


def test_the_nearest_misses_come_first_then_some_of_each_cause():
    kept = [record(number, scores={"judge": 0.79 - number / 100}) for number in range(10)]
    kept += [record(20 + number, code="invalid_output", stage="transform") for number in range(4)]
    assert [each.record.record_id for each in chosen(kept, THRESHOLDS)] == ["r0", "r1", "r2", "r3", "r4", "r20", "r21"]


def test_a_record_that_was_kept_back_twice_is_proposed_once():
    twice = [record(1, scores={"judge": 0.5}), record(2, record_id="r1", scores={"judge": 0.6})]
    assert len(chosen(twice, THRESHOLDS)) == 1


def test_what_is_proposed_can_be_read_as_tests(folder):
    loaded = load(folder / "pipeline.yaml")
    proposed = chosen([record(1, scores={"judge": 0.5}), record(2, stage="extract", output=None)], THRESHOLDS)
    suite = Suite.model_validate(YAML(typ="safe", pure=True).load(written(proposed, loaded)))
    assert [case.input for case in suite.tests] == [record(1).record_data, record(2).record_data]
    assert thresholds_of(loaded) == {"sure": 1.0}


def test_records_of_a_run_are_proposed_and_the_tests_pass(loom, folder, model, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    change(folder / "reviews.csv", "1,It is good. (1)", "1,Hm.")
    assert loom("test", "moods", "--generate").code == 2, "no run has kept a record back"
    assert loom("run", "pipeline.yaml").code in (0, 3)
    generated = loom("test", "moods", "--generate")
    assert generated.code == 0
    assert "borderline" in generated.out
    (folder / "tests/moods.yaml").write_text(generated.out)
    assert LoomConfig.load().project == folder
    ended = loom("test", "--format", "json")
    assert (ended.code, len(ended.report["tests"]), ended.report["from_journal"]) == (0, 1, 1), ended.messages


@pytest.mark.parametrize("arguments", [("test", "--generate"), ("test", "a", "b", "--generate")])
def test_tests_are_proposed_for_one_pipeline(loom, arguments):
    assert loom(*arguments).code == 2
