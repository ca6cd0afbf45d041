"""Tests `loom test` over one pipeline: recorded answers, what it costs, and how it ends."""

import json
import xml.etree.ElementTree as ET

import pytest

from support.tested_pipelines import change

ALL = ["praise", "irony", "a fact", "an unsure answer is kept back", "the mix of moods", "they arrive"]


def test_answers_are_recorded_once_and_replayed_for_nothing(loom, model, folder):
    without = loom("test", "--format", "json")
    assert without.code == 1
    assert set(without.verdicts.values()) == {"failed"}
    assert all("is recorded for this question" in words for words in without.messages.values())
    assert "loom test --update" in without.messages["praise"]
    assert not model.calls, "a test without --live and --update asks no model"

    recorded = loom("test", "--update", "--format", "json")
    assert (recorded.code, recorded.verdicts) == (0, dict.fromkeys(ALL, "passed")), recorded.messages
    assert recorded.report["calls"] == len(model.calls) == 12
    assert recorded.report["cost"] > 0
    assert recorded.report["written"] == ["tests/cassettes/moods.json", "tests/baselines/moods.json"]

    again = loom("test", "--format", "json")
    assert (again.code, again.report["calls"], again.report["cost"]) == (0, 0, 0.0)
    assert again.report["replayed"] == 12 + 8, "the integration test asks again what the distributional one asked"
    assert len(model.calls) == 12


def test_a_test_touches_neither_the_state_nor_the_destination_of_the_project(loom, recorded, folder):
    assert loom("test", "--filter", "arrive").code == 0
    assert not (folder / "out").exists()
    assert not (folder / ".loom/loom.db").exists()
    assert not (folder / ".loom/journal.db").exists()


def test_update_asks_only_what_is_missing_and_drops_what_no_test_uses(loom, model, recorded):
    before = json.loads((recorded / "tests/cassettes/moods.json").read_text())["answers"]
    change(recorded / "tests/moods.yaml", "review: It is good.}", "review: It is very good.}")
    model.calls.clear()
    assert loom("test", "--update").code == 0
    after = json.loads((recorded / "tests/cassettes/moods.json").read_text())["answers"]
    assert len(model.calls) == 1
    assert len(after) == len(before)
    assert {each["key"] for each in after} != {each["key"] for each in before}


def test_an_update_of_some_tests_keeps_the_recordings_of_the_others(loom, model, recorded):
    before = (recorded / "tests/cassettes/moods.json").read_text()
    assert loom("test", "--update", "--filter", "praise").code == 0
    assert (recorded / "tests/cassettes/moods.json").read_text() == before


def test_live_asks_everything_and_records_nothing(loom, model, recorded):
    before = (recorded / "tests/cassettes/moods.json").read_text()
    model.calls.clear()
    live = loom("test", "--live", "--filter", "praise", "--repeat", "3", "--format", "json")
    assert (live.code, len(model.calls)) == (0, 3)
    (praise,) = live.report["tests"]
    assert (praise["rounds"], praise["rounds_passed"]) == (3, 3)
    assert praise["flakiness"][0] == 0.0
    assert 0.5 < praise["flakiness"][1] < 0.6, "three rounds without a failure do not say much"
    assert (recorded / "tests/cassettes/moods.json").read_text() == before


def test_failures_say_what_was_expected_and_found(loom, recorded):
    change(recorded / "tests/moods.yaml", "exact: {mood: negative}", "exact: {mood: positive}")
    change(recorded / "tests/moods.yaml", "loaded: 8}", "loaded: {min: 9}}")
    ended = loom("test", "--format", "json")
    assert ended.code == 1
    assert ended.messages["irony"] == 'exact.mood: expected "positive", found "negative"'
    assert ended.messages["they arrive"] == "records.loaded: expected 9 at least, found 8"


def test_what_failed_last_is_run_alone_until_it_passes(loom, recorded):
    change(recorded / "tests/moods.yaml", "exact: {mood: negative}", "exact: {mood: positive}")
    assert loom("test", "--filter", "irony").code == 1
    change(
        recorded / "tests/moods.yaml",
        "'So good, it broke at once.'}\n    expect: {gate: passes, exact: {mood: positive}",
        "'So good, it broke at once.'}\n    expect: {gate: passes, exact: {mood: negative}",
    )
    assert loom("test", "--failed", "--format", "json").verdicts == {"irony": "passed"}
    none = loom("test", "--failed")
    assert none.code == 2
    assert "No test failed" in none.err


def test_a_budget_stops_calls_before_they_pass_it(loom, model):
    ended = loom("test", "--update", "--budget", "0.0002", "--format", "json")
    assert ended.code == 1
    assert 0 < ended.report["cost"] <= 0.0002
    assert any("--budget" in words for words in ended.messages.values())


def test_reports_are_written_for_machines(loom, recorded):
    change(recorded / "tests/moods.yaml", "exact: {mood: negative}", "exact: {mood: positive}")
    ended = loom(
        "test", "--format", "github", "--report", "r/all.xml", "--report", "r/all.md", "--report", "r/all.json"
    )
    assert "::error file=tests/moods.yaml,line=5,title=irony (failed)::exact.mood" in ended.out
    suite = ET.parse(recorded / "r/all.xml").getroot()[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("6", "1", "0")
    (failure,) = suite.iter("failure")
    assert failure.get("message") == 'exact.mood: expected "positive", found "negative"'
    assert "| irony | moods | unit | **failed**:" in (recorded / "r/all.md").read_text()
    assert json.loads((recorded / "r/all.json").read_text())["failed"] == 1


def test_a_sample_tries_a_pipeline_that_has_no_tests(loom, folder, model):
    (folder / "tests/moods.yaml").unlink()
    none = loom("test", "moods")
    assert none.code == 2
    assert "There are no tests of moods" in none.err
    ended = loom("test", "moods", "--sample", "3", "--live", "--format", "json")
    assert (ended.code, ended.verdicts) == (0, {"runs over 3 records": "passed"}), ended.messages
    assert len(model.calls) == 3


@pytest.mark.parametrize(
    ("before", "after", "place", "words"),
    [
        ("exact: {mood: negative}", "exakt: {mood: negative}", ":7:28: tests[1].expect.exakt", "Did you mean 'exact'"),
        ("type: integration", "type: integraton", ":22:5: tests[5].type", "one of unit, distributional, integration"),
        ("name: irony", "name: praise", ":5:5: tests[1].name", "a name of its own"),
        (
            "{min: 0.2, max: 0.3}",
            "{min: 0.4, max: 0.3}",
            ":19:55: tests[4].expect.fields.mood.share.negative.max",
            "0.4 or more",
        ),
        ("tests:", "params: {since: 1}\ntests:", ":1:10: params.since", "a parameter of moods"),
        ("tests:", "pipeline: ../nothing.yaml\ntests:", ":1:1: pipeline", "the path of a pipeline file"),
    ],
)
def test_a_mistake_in_a_file_of_tests_is_told_with_its_place(loom, folder, before, after, place, words):
    change(folder / "tests/moods.yaml", before, after)
    ended = loom("test")
    assert ended.code == 2
    assert f"tests/moods.yaml{place}" in ended.err
    assert words in ended.err
    assert "Traceback" not in ended.err


def test_a_file_of_recordings_that_is_broken_is_told(loom, folder):
    (folder / "tests/cassettes").mkdir()
    (folder / "tests/cassettes/moods.json").write_text('{"version": 1, "answers": [{}]}')
    ended = loom("test")
    assert ended.code == 2
    assert "moods.json is no file of recorded answers" in ended.err


def test_answers_of_an_earlier_run_are_taken_from_the_journal(loom, model, folder, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    assert loom("run", "pipeline.yaml").code == 0, "a run of the project, which pays for eight answers"
    model.calls.clear()
    ended = loom("test", "--filter", "arrive", "--format", "json")
    assert (ended.code, ended.report["from_journal"], model.calls) == (0, 8, []), ended.messages


def test_a_judge_of_meaning_is_recorded_as_any_model(loom, model, folder):
    meaning = "semantic: {mood: {reference: glad, threshold: 0.9, model: gpt-4o-mini}}"
    change(folder / "tests/moods.yaml", "exact: {mood: positive}", meaning)
    updated = loom("test", "--update", "--filter", "praise", "--format", "json")
    assert (updated.code, [call.purpose for call in model.calls]) == (0, ["transform", "evaluate"]), updated.messages
    again = loom("test", "--filter", "praise", "--format", "json")
    assert (again.code, again.report["calls"], again.report["replayed"]) == (0, 0, 2)
    change(folder / "tests/moods.yaml", "threshold: 0.9", "threshold: 0.99")
    judged = loom("test", "--filter", "praise", "--format", "json")
    assert judged.messages["praise"].startswith(
        'semantic.mood: expected a score of 0.99 at least against "glad", found 0.95 for "positive"'
    )
