"""Tests the records of a run judged by people: what they are shown, what is kept, and what it is worth."""

from __future__ import annotations

import csv
import json

import click
import pytest

from loom.benchmarks.data.labels import read_labels
from loom.cli.app import main
from loom.labelling import files, label_session
from loom.labelling.report import Wanted, report
from loom.project.config import LoomConfig
from loom.session import open_session
from loom_common.errors import ConfigurationError, NotFound
from loom_common.statistics.thresholds import Goal
from support.clients import ended, request_of
from support.projects import COLUMNS, project, python, reviews, write_csv

RECORDS = 60
CODE = """
def judged(record):
    number = int(record["id"][1:])
    return {"mood": "good" if number % 2 else "bad", "sure": number / 100, "note": "\\x1b[31m[bold]red[/bold]"}
"""
SURE = {"type": "python", "name": "sure", "function": "scores:sure", "threshold": 0.3}
SCORES = "def sure(output, record):\n    return output['sure']\n"


@pytest.fixture
async def run_id(tmp_path, config) -> str:
    made = project(tmp_path, RECORDS, transform=python(), code=CODE, evaluate={"evaluators": [SURE]})
    (tmp_path / "scores.py").write_text(SCORES, encoding="utf-8")
    async with open_session(config, cluster=False) as session:
        done = await ended(session, (await session.start(request_of(made, config))).run_id)
    assert (done.report.records["passed"], done.report.records["rejected"]) == (30, 30)
    return done.report.run_id


def opened(config: LoomConfig, run_id: str, person: str = "ann"):
    return label_session.opened_session(config, run_id, None, person, "terminal")


def is_right(record_id: str) -> bool:
    return int(record_id[1:]) >= 20


async def judge(config: LoomConfig, run_id: str, person: str = "ann", most: int = 1_000) -> int:
    """Judge records as they are shown."""
    number = 0
    async with opened(config, run_id, person) as mine:
        while number < most and (shown := await mine.next()) is not None:
            await mine.say(shown.record.record_id, "pass" if is_right(shown.record.record_id) else "fail")
            number += 1
    return number


async def test_loaded_and_kept_records_are_shown_with_input_output_and_scores_nearest_first(config, run_id):
    sample = await label_session.draw(config, run_id, None, "ann", 20)
    assert (sample.population, sample.subject) == (RECORDS, "sure")
    async with opened(config, run_id) as mine:
        first = await mine.next()
        assert first is not None
        assert (first.record.record_id, first.record.stratum) == ("r000030", "borderline")
        seen = []
        while (shown := await mine.next()) is not None:
            seen.append(shown)
            await mine.say(shown.record.record_id, "skip")
        progress = await mine.progress()
    assert len(seen) == progress.skipped == progress.records == 20
    assert {each.record.margin >= 0 for each in seen} == {True, False}, "of both sides of the gate"
    for each in seen:
        assert each.contents.record_data["id"] == each.record.record_id
        assert each.contents.output["sure"] == int(each.record.record_id[1:]) / 100
        assert [score.evaluator_name for score in each.scores] == ["sure"]


async def test_a_person_goes_on_where_it_stopped_and_takes_the_last_answer_back(config, run_id):
    await label_session.draw(config, run_id, None, "ann", 10)
    assert await judge(config, run_id, most=4) == 4
    async with opened(config, run_id) as mine:
        fifth = await mine.next()
        assert fifth is not None
        assert fifth.record.place == 5
        await mine.say(fifth.record.record_id, "fail", "because", "good")
        taken = await mine.undo()
        assert taken is not None
        assert (taken.record_id, taken.comment, taken.expected) == (fifth.record.record_id, "because", "good")
        again = await mine.next()
        assert again is not None
        assert again.record == fifth.record
    async with opened(config, run_id, "bob") as other:
        assert await other.undo() is None
        first = await other.next()
        assert first is not None
        assert first.record.place == 1
    await label_session.draw(config, run_id, None, "ann", 15)
    assert await judge(config, run_id) == 11, "a larger sample begins with the smaller one"


async def test_one_label_is_kept_of_each_person_and_record(config, run_id):
    await label_session.draw(config, run_id, None, "ann", 5)
    async with opened(config, run_id) as mine:
        await mine.say("r000030", "pass")
        await mine.say("r000030", "fail")
        assert (await mine.record("r000030")).label.verdict == "fail"
        with pytest.raises(ConfigurationError, match="no verdict"):
            await mine.say("r000030", "good")
        with pytest.raises(NotFound, match="not in the sample"):
            await mine.say("r999999", "pass")
        assert (await mine.progress()).judged == 1


async def test_the_labels_of_all_records_give_the_figures_of_all_records(config, run_id):
    await label_session.draw(config, run_id, None, "ann", RECORDS)
    await judge(config, run_id)
    async with opened(config, run_id) as mine:
        found = await report(mine.engine, mine.run, None, Wanted(Goal.RECALL, 0.9, 0.1))
    (sure,) = found.subjects
    assert (found.labelled, found.passed, found.outside) == (RECORDS, 40, 0)
    assert sure.agreement == pytest.approx(50 / 60)
    assert (sure.now.precision.value, sure.now.recall.value) == (1.0, pytest.approx(0.75))
    assert sure.proposed.threshold == pytest.approx(0.24), "36 of the 40 that are right have at least that score"
    assert sure.proposed.recall.value == pytest.approx(0.9)


async def test_labels_are_written_for_bench_and_read_back(config, run_id, tmp_path):
    await label_session.draw(config, run_id, None, "ann", 12)
    await judge(config, run_id)
    made = await files.write(config, run_id, tmp_path / "labels.csv", person=None, field="mood")
    assert (made.records, made.disputed) == (12, 0)
    read = await read_labels(str(tmp_path / "labels.csv"), config, ("id",), "verdict")
    assert read.values == {name: "pass" if is_right(name) else "fail" for name in read.values}
    assert len(read.values) == 12

    taken = await files.read(config, run_id, str(tmp_path / "labels.csv"), "bob")
    assert (taken.kept, taken.replaced, taken.unknown) == (12, 0, 0)
    async with opened(config, run_id) as mine:
        assert (await mine.progress()).judged == 12


async def test_an_import_names_what_it_cannot_use_and_keeps_nothing_of_a_file_with_a_mistake(config, run_id, tmp_path):
    file = tmp_path / "given.csv"
    file.write_text("id,verdict\nr000001,yes\nr000002,0\nnobody,pass\nr000003,\n", encoding="utf-8")
    made = await files.read(config, run_id, str(file), "bob")
    assert (made.rows, made.kept, made.empty) == (4, 2, 1)
    assert made.unknown_examples == ["nobody"]
    for text, words in (
        ("id,verdict\nr000004,pass\nr000005,perhaps\n", "row 2: 'perhaps' is no verdict"),
        ("id,verdict\nr000004,pass\nr000004,fail\n", "twice"),
        ("id,said\nr000004,pass\n", "no column `verdict`"),
        ("id,verdict\nnobody,pass\n", "none of 1 rows"),
    ):
        file.write_text(text, encoding="utf-8")
        with pytest.raises(ConfigurationError, match=words):
            await files.read(config, run_id, str(file), "bob")
    async with opened(config, run_id) as mine:
        found = await report(mine.engine, mine.run, None, Wanted())
    assert (found.labelled, found.outside) == (2, 2), "labels of records that were not drawn stand for none"


async def test_a_record_that_the_source_has_lost_is_said_to_be_gone(config, run_id, tmp_path):
    write_csv(tmp_path / "reviews.csv", [row for row in reviews(RECORDS) if row["id"] != "r000030"])
    await label_session.draw(config, run_id, None, "ann", 10)
    async with opened(config, run_id) as mine:
        first = await mine.next()
        assert first is not None
        assert first.record.record_id != "r000030"
        progress = await mine.progress()
        assert (progress.gone, progress.records) == (1, 9)
        with pytest.raises(NotFound, match="no longer holds the record"):
            await mine.record("r000030")


async def test_a_run_whose_records_have_no_such_score_says_so(config, tmp_path):
    made = project(tmp_path, 3)
    async with open_session(config, cluster=False) as session:
        done = await ended(session, (await session.start(request_of(made, config))).run_id)
    with pytest.raises(ConfigurationError, match="has no evaluators"):
        await label_session.draw(config, done.report.run_id, None, "ann", None)
    assert COLUMNS


def loom(capsys, *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    out, err = capsys.readouterr()
    return int(end.value.code or 0), out, err


def test_keys_at_a_terminal_judge_skip_comment_take_back_and_quit(tmp_path, clean_environ, capsys, monkeypatch):
    (tmp_path / "loom.yaml").touch()
    project(tmp_path, 20, transform=python(), code=CODE, evaluate={"evaluators": [SURE | {"threshold": 0.1}]})
    (tmp_path / "scores.py").write_text(SCORES, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert loom(capsys, "run", "pipeline.yaml")[0] == 0
    run_id = json.loads(loom(capsys, "history", "--format", "json")[1])[0]["run_id"]
    code, _, err = loom(capsys, "label", run_id)
    assert (code, "This is no terminal" in err) == (2, True)

    keys = iter("pxcfusq")
    monkeypatch.setattr(click, "getchar", lambda: next(keys))
    monkeypatch.setattr(click, "prompt", lambda *_, **__: "too sure")
    monkeypatch.setattr("loom.cli.commands.labelling.carrying_out.at_a_terminal", lambda: True)
    code, out, err = loom(capsys, "label", run_id, "--person", "ann", "--count", "6")

    assert code == 0
    assert "Taken back: fail for" in err
    assert "ann has judged 1 of 6 records, 1 skipped." in err
    assert "\x1b[31m" not in out
    assert "note: \u241b[31m[bold]red[/bold]" in out, "contents are shown as they are, and control nothing"
    code, out, _ = loom(capsys, "label", run_id, "--person", "ann", "--format", "json")
    assert (code, json.loads(out)["judged"], json.loads(out)["skipped"]) == (0, 1, 1)
    code, out, _ = loom(capsys, "label", run_id, "--labels", "labels.csv")
    assert code == 0
    with (tmp_path / "labels.csv").open(encoding="utf-8", newline="") as file:
        assert [(row["id"], row["verdict"]) for row in csv.DictReader(file)] == [("r000010", "pass")]
    code, out, _ = loom(capsys, "label", run_id, "--report")
    assert code == 0
    assert "1 record judged (ann 1), 1 would pass." in out
    assert f"loom label {run_id} --count" in out
    assert loom(capsys, "label", run_id, "--report", "--labels", "x.csv")[0] == 2
