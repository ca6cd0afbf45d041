"""Tests the outputs of a run scored again: what was paid for is not paid for again, and outputs are the run's or are
said to be gone."""

from __future__ import annotations

import csv

import pytest

from loom.rescoring.evaluate import evaluate
from loom.rescoring.request import Asked
from loom_ai.stores.beside_journal import open_journal
from loom_common.errors import ConfigurationError, InvalidDefinition, NotFound, PermanentError
from support.projects import COLUMNS, ai, project, python, reviews, write_csv
from support.rescored import CODE, STARS, asked_by, run

RECORDS = 24
SURE = {"type": "range", "name": "sure", "field": "confidence", "min": 0.5, "threshold": 1.0}
KIND = {"type": "custom_criteria", "name": "kind", "field": "mood", "criteria": ["Kind", "Short"], "threshold": 0.4}


async def test_a_threshold_is_moved_without_a_single_call_and_who_changes_side_is_named(tmp_path, config, model):
    made = project(tmp_path, RECORDS, transform=ai(model.base_url), evaluate={"evaluators": [SURE]})
    report = await run(made, config)
    calls = model.calls
    assert 0 < report.records["rejected"] < RECORDS

    again = await evaluate(config, report.run_id, Asked(thresholds={"sure": 0.0}))

    assert model.calls == calls
    passed, rejected = report.records["passed"], report.records["rejected"]
    assert again.verdicts_before == {"passed": passed, "rejected": rejected, "error": 0}
    assert again.verdicts == {"passed": RECORDS, "rejected": 0, "error": 0}
    assert (again.pass_now, again.fail_now, again.gone) == (report.records["rejected"], 0, 0)
    assert again.cost == 0
    assert {(each.before, each.after, each.loaded) for each in again.changed} == {("rejected", "passed", False)}
    assert len(again.changed) == report.records["rejected"]


async def test_a_new_judge_is_paid_for_once_and_nothing_else_is(tmp_path, config, model):
    made = project(tmp_path, RECORDS, transform=ai(model.base_url), evaluate={"evaluators": [SURE]})
    report = await run(made, config)
    asked = asked_by(made, SURE, KIND, model="gpt-4o-mini", base_url=model.base_url, quality_gate="any_pass")
    before = model.calls

    first = await evaluate(config, report.run_id, asked)
    paid = model.calls - before
    second = await evaluate(config, report.run_id, asked)

    assert 0 < paid <= RECORDS
    assert (first.calls_made, second.calls_made) == (paid, 0)
    assert first.cost > 0 == second.cost
    assert second.calls_reused == first.calls_made + first.calls_reused
    assert model.calls == before + paid
    assert (first.verdicts, first.changed) == (second.verdicts, second.changed)
    assert sum(first.verdicts.values()) == RECORDS
    assert {each["evaluator"] for each in first.evaluators} == {"sure", "kind"}


async def test_answers_that_a_run_kept_to_itself_are_its_outputs_all_the_same(tmp_path, config, model):
    made = project(tmp_path, RECORDS, transform=ai(model.base_url), evaluate={"evaluators": [SURE]})
    report = await run(made, config, reuse=False)
    calls = model.calls
    again = await evaluate(config, report.run_id, Asked(evaluators=["sure"]))
    assert model.calls == calls
    assert (again.gone, again.pass_now, again.fail_now) == (0, 0, 0)
    assert sum(again.verdicts.values()) == RECORDS


async def test_loaded_records_that_the_source_has_lost_or_changed_are_named_and_not_asked_for(tmp_path, config, model):
    made = project(tmp_path, RECORDS, transform=ai(model.base_url), evaluate={"evaluators": [SURE]})
    report = await run(made, config)
    calls = model.calls
    with made.path("results/out.csv").open(encoding="utf-8", newline="") as file:
        lost, changed, *_ = (row["id"] for row in csv.DictReader(file))
    rows = [row for row in reviews(RECORDS) if row["id"] != lost]
    write_csv(
        made.path("reviews.csv"),
        [{**row, "review": "another text"} if row["id"] == changed else row for row in rows]
        + [dict.fromkeys(COLUMNS, "new")],
    )

    again = await evaluate(config, report.run_id, Asked(thresholds={"sure": 0.0}))

    assert model.calls == calls
    assert (again.gone, again.new) == (2, 1)
    assert "no longer holds the answer" in again.gone_because[changed]
    assert again.gone_because[lost] == "Its source no longer holds the record"
    assert sum(again.verdicts.values()) == RECORDS - 2


async def test_an_answer_that_is_younger_than_the_run_is_not_its_output(tmp_path, config, model):
    made = project(tmp_path, RECORDS, transform=ai(model.base_url), evaluate={"evaluators": [SURE]})
    report = await run(made, config)
    journal = open_journal(config.settings().journal.url.get_secret_value(), tmp_path)
    await journal.clear()
    await journal.close()
    await run(made, config)  # the same questions are answered once more
    calls = model.calls
    again = await evaluate(config, report.run_id, Asked(thresholds={"sure": 0.0}))
    assert model.calls == calls
    assert again.gone == report.records["loaded"]
    assert again.verdicts["passed"] == again.verdicts_before["rejected"] == report.records["rejected"]


async def test_a_record_that_has_changed_is_found_out_by_the_evaluators_that_have_not(tmp_path, config):
    made = project(tmp_path, 20, transform=python(), evaluate={"evaluators": [STARS]}, code=CODE)
    report = await run(made, config)
    same = await evaluate(config, report.run_id, Asked())
    assert (same.gone, same.verdicts) == (0, same.verdicts_before)
    data = made.path("reviews.csv")
    data.write_bytes(data.read_bytes().replace(b",5\r\n", b",1\r\n"))
    again = await evaluate(config, report.run_id, asked_by(made, {**STARS, "name": "other", "min": 0}))
    assert again.gone == 4
    assert "stars gives 0 now, and gave 1" in next(iter(again.gone_because.values()))


async def test_a_file_that_is_gone_leaves_the_outputs_that_were_kept(tmp_path, config):
    made = project(tmp_path, 20, transform=python(), evaluate={"evaluators": [STARS]}, code=CODE)
    report = await run(made, config)
    made.path("reviews.csv").unlink()
    again = await evaluate(config, report.run_id, Asked(thresholds={"stars": 0.0}))
    assert again.gone == report.records["loaded"] == 16
    assert "cannot be read any more" in next(iter(again.gone_because.values()))
    assert (again.pass_now, again.fail_now) == (4, 0)


async def test_new_judgements_stay_within_their_budget_and_are_continued_with_a_larger_one(tmp_path, config, model):
    made = project(tmp_path, RECORDS, transform=ai(model.base_url), evaluate={"evaluators": [SURE]})
    report = await run(made, config)
    asked = asked_by(made, KIND, model="gpt-4o-mini", base_url=model.base_url)
    before = model.calls
    with pytest.raises(PermanentError, match=r"larger --budget"):
        await evaluate(config, report.run_id, asked, budget=0.0002)
    some = model.calls - before
    whole = await evaluate(config, report.run_id, asked, budget=10)
    assert whole.calls_made == model.calls - before - some
    assert sum(whole.verdicts.values()) == RECORDS


async def test_what_cannot_be_scored_is_refused_in_a_sentence(tmp_path, config):
    plain = project(tmp_path, 4, name="plain")
    report = await run(plain, config)
    with pytest.raises(ConfigurationError, match=r"has no evaluators\. Name a pipeline file"):
        await evaluate(config, report.run_id, Asked())
    with pytest.raises(NotFound, match="There is no run run_none"):
        await evaluate(config, "run_none", Asked())
    scored = asked_by(plain, {"type": "length", "field": "review", "max": 20, "threshold": 1.0})
    with pytest.raises(InvalidDefinition, match="an evaluator of the pipeline: length"):
        await evaluate(config, report.run_id, Asked(scored.file, thresholds={"lenght": 0.5}))
    with pytest.raises(ConfigurationError, match=r"no evaluator lenght .* Did you mean length"):
        await evaluate(config, report.run_id, Asked(scored.file, evaluators=["lenght"]))
    made = await evaluate(config, report.run_id, scored)
    assert made.verdicts == {"passed": 3, "rejected": 1, "error": 0}
