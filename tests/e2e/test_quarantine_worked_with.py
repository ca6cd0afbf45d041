"""Tests quarantined records from the command line: found, understood, exported, tried again with changes, given up."""

from __future__ import annotations

import asyncio
import csv
import json

import pytest

from loom import Loom
from loom.project.config import LoomConfig
from loom.session import open_session
from loom.views import open_views
from loom_common.domain.run.replaying import Changes
from loom_common.errors import InvalidDefinition
from loom_dev.waiting import within
from loom_quarantine.queries import RecordFilter
from support.clients import ended, request_of
from support.projects import ai, project
from support.simulated_model import simulated_process

REVIEWS = [
    {"id": "a", "review": "Fine", "stars": "5"},
    {"id": "b", "review": "Poor", "stars": "1"},
    {"id": "c", "review": "Well", "stars": "3"},
    {"id": "d", "review": "", "stars": "2"},
]
CODE = """
def judged(record):
    if not record["review"]:
        raise ValueError("nothing to read")
    return {"score": int(record["stars"]) / 5}
"""
SCORED = {"evaluators": [{"type": "python", "name": "stars", "function": "transforms:stars", "threshold": 0.7}]}
CODE += """
def stars(output, record):
    return output["score"], "as " + record["stars"] + " stars"
"""


def scored(folder, name="scored", destination="out.jsonl"):
    return project(
        folder, REVIEWS, name=name, transform={"type": "python", "function": "transforms:judged"}, evaluate=SCORED,
        code=CODE, destination=destination,
    )  # fmt: skip


@pytest.fixture
def ran(loom, tmp_path):
    """Provide a run that loaded `a`, rejected `b` (0.2) and `c` (0.6), and could not read `d`."""
    made = scored(tmp_path)
    return made, loom("run", str(made.pipeline), "--format", "json").report["run_id"]


def listed(loom, *options):
    return sorted(row["record_id"] for row in json.loads(loom("quarantine", "list", "--format", "json", *options).out))


def resolutions(loom):
    rows = json.loads(loom("quarantine", "list", "--format", "json").out)
    return {row["record_id"]: row["resolution_action"] for row in rows}


def loaded(made):
    return [row["id"] for row in asyncio.run(made.loaded())]


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        ((), ["b", "c", "d"]),
        (("--stage", "transform"), ["d"]),
        (("--reason", "BELOW threshold"), ["b", "c"]),
        (("--evaluator", "stars", "--max-score", "0.5"), ["b"]),
        (("--evaluator", "stars", "--min-score", "0.5"), ["c"]),
        (("--pipeline", "another"), []),
    ],
)
def test_records_are_found_by_what_is_known_of_them(loom, ran, options, ids):
    assert listed(loom, *options) == ids


def test_show_finds_a_record_of_the_newest_run(loom, ran):
    _, run_id = ran
    shown = json.loads(loom("quarantine", "show", "b", "--run-id", "latest", "--format", "json").out)
    assert (shown["record_id"], shown["run_id"]) == ("b", run_id)


def test_show_tells_all_that_is_known(loom, ran):
    _, run_id = ran
    record = json.loads(loom("quarantine", "show", "b", "--format", "json").out)
    assert {name: record[name] for name in ("run_id", "stage", "code", "outcome", "attempts", "cost")} == {
        "run_id": run_id, "stage": "evaluate", "code": "gate", "outcome": "rejected", "attempts": 1, "cost": 0,
    }  # fmt: skip
    assert (record["input"], record["output"]) == (REVIEWS[1], {"score": 0.2})
    [score] = record["scores"]
    assert score["evaluator_name"] == "stars"
    assert score["score"] == 0.2
    assert score["threshold"] == 0.7
    assert score["explanation"] == "as 1 stars"
    words = loom("quarantine", "show", "b").out
    assert "stars evaluator below threshold (0.20 < 0.7)" in words
    assert "stars: 0.20, threshold 0.7" in words
    missing = loom("quarantine", "show", "zz")
    assert (missing.code, missing.err.split("\n")[0]) == (
        2, "error: No record 'zz' is in quarantine. See: loom quarantine list",
    )  # fmt: skip


def test_options_that_match_no_record_are_told_with_the_place_and_what_is_there(loom, ran, tmp_path):
    _, run_id = ran
    state = f"the state file {tmp_path}/.loom/loom.db"
    there = f"`loom quarantine list --run-id {run_id}` lists the 3 records kept back there."
    for verb, unresolved in (("retry", ""), ("discard", "is unresolved and ")):
        ended = loom("quarantine", verb, run_id, "--stage", "load")
        missing = f"no quarantined record that {unresolved}matches `--stage load`"
        assert (ended.code, ended.err) == (2, f"error: Run {run_id} has {missing} in {state}. {there}\n")
        ended = loom("quarantine", verb, "run_000000000000", "--record-ids", "a")
        assert ended.code == 2
        assert ended.err.startswith(f"error: There is no run run_000000000000 in {state}. ")


def test_where_no_record_is_meant_the_quarantine_is_not_called_empty(loom, ran):
    for command in (("list", "--stage", "load"), ("list", "--pipeline", "other"), ("stats", "--pipeline", "other")):
        ended = loom("quarantine", *command)
        assert ended.code == 0
        assert "No record in quarantine is one of those asked for." in ended.out + ended.err


def test_an_export_holds_every_column_of_the_records_chosen(loom, ran, tmp_path):
    loom("quarantine", "export", "kept.csv", "--stage", "evaluate")
    with (tmp_path / "kept.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    held = {row["record_id"]: (json.loads(row["record_data"])["stars"], json.loads(row["output"])) for row in rows}
    assert held == {"c": ("3", {"score": 0.6}), "b": ("1", {"score": 0.2})}
    lines = loom("quarantine", "export", "-").out.splitlines()
    assert sorted(json.loads(line)["record_id"] for line in lines) == ["b", "c", "d"]
    assert loom("quarantine", "export", "kept.xml").code == 2


def test_another_threshold_lets_some_through_and_resolves_them(loom, ran):
    made, run_id = ran
    report = loom("quarantine", "retry", run_id, "--threshold", "stars=0.5", "--format", "json").report
    assert (report["records"]["extracted"], report["records"]["loaded"]) == (3, 1)
    assert report["evaluation"]["stars"]["threshold"] == 0.5
    assert loaded(made) == ["a", "c"]
    assert listed(loom, "--run-id", run_id, "--unresolved") == ["b", "d"]
    lineage = json.loads(loom("lineage", "scored", "--format", "json").out)
    assert (lineage[0]["run_id"], lineage[0]["replay_of"]) == (report["run_id"], run_id)
    again = json.loads(loom("quarantine", "show", "b", "--run-id", run_id, "--format", "json").out)["replays"]
    assert [each["run_id"] for each in again] == [report["run_id"]]


def test_an_edit_mends_a_record_and_says_so(loom, ran):
    made, run_id = ran
    report = loom(
        "quarantine", "retry", run_id, "--stage", "transform", "--edit", "review=Fine", "--edit", "stars=5",
        "--format", "json",
    ).report  # fmt: skip
    assert (report["records"]["extracted"], report["records"]["loaded"]) == (1, 1)
    assert loaded(made) == ["a", "d"]
    assert resolutions(loom) == {"b": None, "c": None, "d": "manual_fix"}


def test_what_is_discarded_is_resolved_and_not_retried(loom, ran):
    made, run_id = ran
    assert loom("quarantine", "discard", run_id).code == 2
    assert loom("quarantine", "discard", run_id, "--record-ids", "zz").code == 2
    told = loom("quarantine", "discard", run_id, "--evaluator", "stars", "--max-score", "0.5")
    assert (told.code, told.err.strip()) == (0, f"1 record of {run_id} is discarded.")
    report = loom("quarantine", "retry", run_id, "--threshold", "stars=0", "--format", "json").report
    assert (report["records"]["extracted"], loaded(made)) == (2, ["a", "c"])
    assert resolutions(loom)["b"] == "discarded"
    stats = json.loads(loom("quarantine", "stats", "--run-id", run_id, "--format", "json").out)
    counted = {row["code"]: (row["records"], row["unresolved"], row["reprocessed"], row["discarded"]) for row in stats}
    assert counted["gate"] == (2, 0, 1, 1)


def test_changes_that_do_not_fit_are_refused(loom, ran):
    _, run_id = ran
    refused = loom("quarantine", "retry", run_id, "--threshold", "star=0.5", "--model", "gpt-4o")
    assert refused.code == 2
    assert "thresholds.star: found 'star'; expected an evaluator of the pipeline: stars. Did you mean 'stars'?" in (
        refused.err
    )
    assert "model: found a transform of type python; expected a transform of type ai, which has a model." in refused.err
    assert loom("quarantine", "retry", run_id, "--threshold", "stars").code == 2


def test_another_prompt_and_model_answer_for_those_records_only(loom, tmp_path):
    with simulated_process() as url:
        evaluate = {"evaluators": [{"type": "range", "field": "number", "min": 200, "threshold": 1.0}]}
        asked = ai(url, output={"number": {"type": "integer", "minimum": 0, "maximum": 100}})
        made = project(tmp_path, REVIEWS, transform=asked, evaluate=evaluate, destination="out.jsonl")
        run_id = loom("run", str(made.pipeline), "--format", "json").report["run_id"]
        shown = json.loads(loom("quarantine", "show", "a", "--format", "json").out)
        assert shown["prompt"] == "What is the mood of review a: Fine?"
        [call] = shown["calls"]
        assert (call["purpose"], call["model"], call["calls"]) == ("transform", "gpt-4o-mini", 1)
        assert shown["cost"] == call["cost"] > 0

        (tmp_path / "better.txt").write_text("Be kind about {{ input.review }}")
        changes = ("--prompt", "better.txt", "--model", "gpt-4o", "--threshold", "range=0")
        report = loom(
            "quarantine", "retry", run_id, "--record-ids", "a,b", *changes, "--format", "json"
        ).report  # fmt: skip
        assert (report["records"]["extracted"], report["records"]["loaded"]) == (2, 2)
        lineage = json.loads(loom("lineage", "reviews", "--format", "json").out)
        assert lineage[0]["model"] == "gpt-4o"
        assert lineage[0]["prompt_version"] != lineage[1]["prompt_version"]
        wrong = tmp_path / "wrong.txt"
        wrong.write_text("{{ inptu.review }}")
        refused = loom("quarantine", "retry", run_id, "--prompt", str(wrong))
        assert (refused.code, "Did you mean 'input'?" in refused.err) == (2, True)


@pytest.fixture(params=["embedded", "distributed"])
def place(request, tmp_path):
    """Provide a pipeline and the configuration it runs with, both ways."""
    if request.param == "embedded":
        request.getfixturevalue("clean_environ")
        (tmp_path / "loom.yaml").touch()
        return scored(tmp_path), LoomConfig.load(tmp_path / "loom.yaml"), {}
    cluster = request.getfixturevalue("cluster")
    config = LoomConfig.load(cluster.project / "loom.yaml").for_cluster()
    return (
        scored(cluster.project / "worked_with", "worked_with", "${RESULTS}?table=worked_with"),
        config,
        cluster.credentials,
    )


async def test_by_message_records_are_replayed_with_changes_and_given_up(place):
    made, config, environ = place
    async with open_session(config, cluster=config.distributed) as session:
        first = (await ended(session, (await session.start(request_of(made, config))).run_id)).report
        with pytest.raises(InvalidDefinition, match="expected an evaluator of the pipeline: stars"):
            await session.replay(first.run_id, None, Changes(thresholds={"moon": 0.1}))
        changes = Changes(thresholds={"stars": 0.5}, edits={"review": "Read"})
        again = (await ended(session, (await session.replay(first.run_id, ("c", "d"), changes)).run_id)).report
        assert (again.records["loaded"], again.records["rejected"]) == (1, 1)
        await session.discard(first.run_id, ("b",))
        assert await _resolved(config, first.run_id, 2) == {"b": "discarded", "c": "manual_fix", "d": None}
    assert [row["id"] for row in await made.loaded(environ)] == ["a", "c"]
    kept = await Loom(config.file).get_quarantined_records(run_id=again.run_id, evaluator="stars", max_score=0.5)
    assert [record["record_data"]["review"] for record in kept] == ["Read"]


async def _resolved(config, run_id, number):
    """How the run's records were resolved, once `number` of them are: the quarantine learns of it by messages."""
    async with within(20), open_views(config) as views:
        while True:
            rows = await views.quarantined(RecordFilter(run_id=run_id))
            if sum(row.resolved for row in rows) >= number:
                return {row.record_id: row.resolution_action for row in rows}
            await asyncio.sleep(0.05)
