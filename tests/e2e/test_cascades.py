"""Tests cascades: a cheap tier is asked first, and the dear model only where that one is unsure."""

from __future__ import annotations

import json

import pytest

from loom.session import open_session
from loom.views import open_views
from loom_ai.simulated.answers import answer_for
from loom_common.domain.schema.output import json_schema
from support.batches import quick
from support.books import assert_balanced, assert_complete
from support.clients import ended, request_of
from support.command import Command, runs
from support.command import loom as loom_in_a_process
from support.places import Place, spent, table
from support.projects import ai, at_once, project, review_ids
from support.simulated_model import SimulatedModel, served_in_a_thread

RECORDS = 20
CODE = """
def guess(record):
    return {"mood": "good", "confidence": 0.9 if int(record["id"][1:]) % 10 < 7 else 0.2, "why": "a habit"}
"""
HOW_KIND = """
def how_kind(output, record):
    return 0.9 if int(record["id"][1:]) % 2 else 0.5
"""
FUNCTION = {"cheap": {"function": "transforms:guess"}, "threshold": 0.8}
OUTPUT = {"mood": {"enum": ["good", "bad"]}, "confidence": {"type": "number", "minimum": 0, "maximum": 1}}
PRICES = {"small": {"input": 0.1, "output": 0.4}, "gpt-4o-mini": {"input": 2.0, "output": 8.0}}


async def test_seven_in_ten_records_never_reach_the_dear_model(here, model):
    await seven_in_ten_never_reach_it(here, model, "cascade")


async def test_dear_tiers_are_asked_by_batches_where_the_cheap_ones_are_unsure(here, model, monkeypatch):
    quick(monkeypatch)
    sure = {"type": "python", "function": "transforms:how_kind"}
    judge = {
        "type": "custom_criteria",
        "criteria": "Kind",
        "threshold": 0.0,
        "cascade": {"cheap": sure, "pass_from": 0.8, "fail_below": 0.1},
    }
    made = project(
        here.folder / "batched",
        RECORDS,
        name="batched",
        transform=ai(model.base_url, cascade=FUNCTION, execution="batch"),
        evaluate={"model": "judge", "base_url": model.base_url, "execution": "batch", "evaluators": [judge]},
        code=CODE + HOW_KIND,
        destination="out.csv",
        extract={"batch_size": 5},
    )
    async with open_session(here.config, cluster=False) as session:
        accepted = await session.start(request_of(made, here.config))
        report = (await ended(session, accepted.run_id)).report.model_dump()
    assert_balanced(report)
    asked = {each["stage"]: each["asked"] for each in report["cascades"]}
    assert asked == {"transform": 6, "evaluate": 10}
    assert model.calls == 0
    assert set(model.batches.paid.values()) == {1}
    assert 6 < len(model.batches.paid) <= 16  # equal outputs are judged once
    assert len(await made.loaded()) == RECORDS


async def test_nor_do_they_on_rabbitmq(fleet, model):
    await seven_in_ten_never_reach_it(fleet, model, "cascade_fleet")


async def seven_in_ten_never_reach_it(place: Place, model: SimulatedModel, name: str) -> None:
    made = project(
        place.folder / name,
        RECORDS,
        name=name,
        transform=ai(model.base_url, cascade=FUNCTION),
        code=CODE,
        destination=f"${{RESULTS}}?table={name}" if place.clustered else "sqlite:///out.db?table=cascade",
        extract={"batch_size": 5},
    )
    async with open_session(place.config, cluster=place.clustered) as session:
        accepted = await session.start(request_of(made, place.config))
        report = (await ended(session, accepted.run_id)).report.model_dump()
    assert_balanced(report)
    assert model.calls == RECORDS * 3 // 10
    (cascade,) = report["cascades"]
    counts = {key: cascade[key] for key in ("stage", "records", "asked", "saved_calls", "promise")}
    assert counts == {"stage": "transform", "records": 20, "asked": 6, "saved_calls": 14, "promise": None}
    assert (cascade["cheap"], cascade["dear"]) == ("transforms:guess", "gpt-4o-mini")
    assert cascade["saved_usd"] == pytest.approx(spent(model) / 6 * 14)
    assert cascade["answered"] == {"cheap": 14, "dear": 6}
    assert await kept_answers(place, report["run_id"]) == [
        ("cheap", "transforms:guess", 14), ("dear", "gpt-4o-mini", 6),
    ]  # fmt: skip
    rows = await made.loaded(place.environ)
    assert len(rows) == RECORDS
    assert sum(float(row["confidence"]) == 0.9 for row in rows) >= 14
    assert not any("why" in row for row in rows)  # it is not declared


async def kept_answers(place: Place, run_id: str) -> list[tuple[str, str, int]]:
    """Return how many records each tier answered, by the stored records; the lineage says the same."""
    query = f"SELECT tier, answered_by, COUNT(*) AS n FROM record_answers WHERE run_id = '{run_id}' GROUP BY 1, 2"
    stored = sorted((row["tier"], row["answered_by"], row["n"]) for row in await table(place, query))
    async with open_views(place.config) as views:
        run = await views.known(run_id)
        (lineage,) = await views.lineage(run.pipeline_name, run_id)
    assert [(each.tier, each.name, each.records) for each in lineage.answered_by] == stored
    return stored


async def test_a_run_that_was_killed_pays_neither_tier_twice(tmp_path, model):
    cascade = {"cheap": "small", "threshold": 0.5}
    made = project(
        tmp_path, RECORDS, transform=ai(model.base_url, cascade=cascade), destination="out.csv",
        extract={"batch_size": 4},
    )  # fmt: skip
    made.say(prices=PRICES, **at_once(3))
    model.hold_after(RECORDS * 3 // 4)
    command = await Command.begin(tmp_path, "run", made.pipeline.name)
    await command.reach(lambda: model.calls > RECORDS * 3 // 4)
    await command.kill()
    model.let_go()
    done = await loom_in_a_process(tmp_path, "resume", runs(tmp_path)[0], "--format", "json")
    report = done.report
    assert_complete(report, await made.loaded(), review_ids(RECORDS))
    (cascade,) = report["cascades"]
    assert cascade["records"] == RECORDS
    # Both tiers are asked with the same prompt, the dear one where the made-up confidence is low.
    once = RECORDS + cascade["asked"]
    assert 0 < cascade["asked"] < RECORDS
    assert once <= model.calls <= once + 6  # those that were in flight
    made_for = {(each["purpose"], each["model"]): each["made"] for each in report["spending"]}
    assert made_for["cheap", "small"] <= RECORDS
    assert made_for["transform", "gpt-4o-mini"] <= cascade["asked"]


async def test_each_tier_is_on_the_books_by_its_purpose(here, model):
    cascade = {"cheap": {"model": "small", "temperature": 1.0}, "threshold": 0.9, "confidence": {"samples": 3}}
    made = project(here.folder / "samples", RECORDS, name="samples", transform=ai(model.base_url, cascade=cascade))
    made.say(prices=PRICES)
    model.variety = 0.5
    async with open_session(here.config, cluster=False) as session:
        accepted = await session.start(request_of(made, here.config))
        report = (await ended(session, accepted.run_id)).report.model_dump()
    (summary,) = report["cascades"]
    query = f"SELECT purpose, SUM(made) AS made FROM run_calls WHERE run_id = '{report['run_id']}' GROUP BY purpose"
    made_for = {row["purpose"]: row["made"] for row in await table(here, query)}
    assert made_for == {"cheap": 3 * RECORDS, "transform": summary["asked"]}
    assert report["calls"]["made"] == model.calls
    assert not any("agreement of the cheap tier" in row for row in await made.loaded())


KNOWS = """
import json
from loom_ai.simulated.answers import answer_for

def guess(record):
    sure = int(record["id"][1:]) % 10 < 7
    said = answer_for(json.loads(SCHEMA), PROMPT.replace("{{ input.id }}", record["id"]))
    return {"mood": said["mood"] if sure else "good", "confidence": 0.9 if sure else 0.2}
"""
PROMPT = "How is {{ input.id }}?"


@pytest.fixture
def knowing(tmp_path):
    """Provide a pipeline whose cheap tier knows what the dear model says, where it is sure."""
    with served_in_a_thread() as model:
        (tmp_path / "loom.yaml").touch()
        code = f"SCHEMA = {json.dumps(json.dumps(json_schema(OUTPUT)))}\nPROMPT = {PROMPT!r}\n{KNOWS}"
        cascade = {"cheap": {"function": "transforms:guess"}}
        transform = ai(model.base_url, prompt=PROMPT, output=OUTPUT, cascade=cascade)
        yield model, project(tmp_path, 100, transform=transform, code=code, destination="results/out.jsonl")


CALIBRATE = ("bench", "calibrate", "pipeline.yaml", "--cascade", "--output", "cascade.json", "--format", "json")


def test_thresholds_are_chosen_on_what_the_dear_model_says_and_promised_of_these_settings_alone(knowing, loom):
    model, made = knowing
    refused = loom("run", "pipeline.yaml")
    assert (refused.code, "a cascade without thresholds" in refused.err) == (2, True)
    done = loom(*CALIBRATE, "--sample", "80")
    assert done.code == 0, done.err
    chosen = done.report
    assert 0.2 < chosen["high"] <= 0.9
    assert (chosen["records"], chosen["labels"], chosen["right"]) == (80, "gpt-4o-mini", 80)
    assert model.calls == 80
    transform = made.definition["transform"]
    with_file = {**transform, "cascade": {**transform["cascade"], "file": "cascade.json"}}
    made.say(transform=with_file)
    assert chosen["promise"] in loom("validate", "pipeline.yaml").out.replace("\n", " ")
    estimate = loom("cost", "pipeline.yaml", "--estimate", "--format", "json").report
    assert sum(each["made"] for each in estimate["calls"]) == pytest.approx(100 * chosen["asked"] / 80, abs=1)
    report = loom("run", "pipeline.yaml", "--format", "json").report
    (cascade,) = report["cascades"]
    assert (cascade["promise"], cascade["asked"]) == (chosen["promise"], 30)
    assert 80 < model.calls <= 100  # what was asked before is in the journal
    rows = [json.loads(line) for line in (made.folder / "results/out.jsonl").read_text().splitlines()]
    schema = json_schema(OUTPUT)
    said = {row["id"]: answer_for(schema, PROMPT.replace("{{ input.id }}", row["id"]))["mood"] for row in rows}
    assert {row["id"]: row["mood"] for row in rows} == said
    made.say(transform={**with_file, "prompt": "Really: " + PROMPT})
    assert "chosen for other settings" in loom("run", "pipeline.yaml").err
    # Chosen again, with people's labels, for a recall.
    (made.folder / "labels.csv").write_text(
        "id,label\n" + "".join(f"{name},{mood}\n" for name, mood in said.items()), encoding="utf-8"
    )
    made.say(transform=with_file)
    again = loom(*CALIBRATE, "--labels", "labels.csv", "--target", "recall=0.8", "--key", "id")
    assert (again.report["version"], again.report["labels"]) == (2, "labels.csv")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--target", "speed=1"), "is none of accuracy=SHARE"),
        (("--sample", "10"), "At least 59 records"),
        (("--evaluator", "judge"), "judge has no `cascade`"),
        (("--class", "good"), "goes with a precision or recall"),
        (("--output", "reviews.csv"), "nothing is written in its place"),
        (("--budget", "0.000001"), "No thresholds were chosen"),
    ],
)
def test_what_cannot_be_chosen_is_refused_with_a_sentence(knowing, loom, options, words):
    done = loom(*CALIBRATE, *options)
    assert done.code == 2
    assert words in " ".join(done.err.replace("│", " ").split())
