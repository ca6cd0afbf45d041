"""Tests how runs, their datasets and columns are told in the words of OpenLineage."""

import datetime as dt
from pathlib import Path

import pytest

from loom_common.contracts.v1 import CheckSummary, EvaluatorSummary, Preflight, PreflightColumn, StageCalls
from loom_common.domain.run.tally import Tally
from loom_coordinator.lifecycle.run_report import build
from loom_coordinator.openlineage.datasets import Dataset, datasets_of
from loom_coordinator.openlineage.due import due_event, later
from loom_coordinator.openlineage.run_event import event_id, event_of
from loom_coordinator.openlineage.transport import address_of
from support.openlineage import valid
from support.run_rows import DEFINITION, NOW, a_run

PROJECT = Path("/project")


@pytest.mark.parametrize(
    ("location", "query", "named"),
    [
        ("data/reviews.csv", None, [("file", "/project/data/reviews.csv")]),
        ("file:///data/a.csv", None, [("file", "/data/a.csv")]),
        ("s3://bucket/a/b.parquet", None, [("s3://bucket", "a/b.parquet")]),
        ("postgres://u:${P}@db/shop?table=orders", None, [("postgres://db:5432", "shop.public.orders")]),
        ("postgresql://db:6000/shop?table=eu.orders", None, [("postgres://db:6000", "shop.eu.orders")]),
        (
            "postgres://${U}:${P}@db/shop",
            "WITH old AS (SELECT * FROM orders) SELECT * FROM old JOIN eu.people p ON true -- FROM nobody",
            [("postgres://db:5432", "shop.public.orders"), ("postgres://db:5432", "shop.eu.people")],
        ),
        ("postgres://db/shop", "SELECT 1", [("postgres://db:5432", "shop.public.query")]),
        ("mysql://db/shop?table=orders", None, [("mysql://db:3306", "shop.orders")]),
        ("sqlite:///a.db?table=t", None, [("sqlite:/project/a.db", "t")]),
        ("mssql://db/shop?table=orders", None, [("mssql://db:1433", "shop.dbo.orders")]),
        ("snowflake://acc/DB/RAW?table=T", None, [("snowflake://acc", "DB.RAW.T")]),
        ("bigquery://my-project/shop?table=orders", None, [("bigquery", "my-project.shop.orders")]),
        ("kafkas://${U}:${P}@one:9092/orders?group=g", None, [("kafka://one:9092", "orders")]),
        ("rest+https://api.example.com/v1/items?token=secret", None, [("https://api.example.com", "/v1/items")]),
        ("python:rows:all", None, [("python", "rows:all")]),
        ("${DATABASE_URL}", None, [("loom", "${DATABASE_URL}")]),
    ],
)
def test_a_location_is_named_as_other_tools_name_it_and_without_secrets(location, query, named):
    assert datasets_of(location, PROJECT, query) == [Dataset(*each) for each in named]


MINUTE, NOTHING = dt.timedelta(seconds=60), dt.timedelta()


@pytest.mark.parametrize(
    ("status", "told", "since", "complete", "due"),
    [
        ("running", None, NOTHING, True, "START"),
        ("succeeded", None, NOTHING, True, "START"),
        ("running", "START", NOTHING, True, None),
        ("running", "START", MINUTE, True, "RUNNING"),
        ("paused", "RUNNING", MINUTE, True, None),
        ("succeeded", "RUNNING", NOTHING, False, None),
        ("succeeded", "START", NOTHING, True, "COMPLETE"),
        ("partial", "START", NOTHING, True, "COMPLETE"),
        ("failed", "START", NOTHING, True, "FAIL"),
        ("cancelled", "RUNNING", NOTHING, True, "ABORT"),
        ("failed", "FAIL", MINUTE, True, None),
        ("running", "FAIL", NOTHING, True, "RUNNING"),
    ],
)
def test_each_change_of_a_run_is_told_once(status, told, since, complete, due):
    assert due_event(status, told, since, complete=complete) == due


def test_what_could_not_be_told_is_tried_five_times_in_ever_longer_intervals():
    delays = [later(attempt, NOW) for attempt in range(1, 6)]
    assert [each and (each - NOW).total_seconds() for each in delays] == [5, 10, 20, 40, None]


def column(name, origin, *, in_prompt=False, written=None):
    done = "read" if origin is None else "written"
    return PreflightColumn(
        column=name, origin=origin, in_prompt=in_prompt, written=written, there=None, done=done, fits=True
    )


COLUMNS = (
    column("id", "source", written="BIGINT"),
    column("review", None, in_prompt=True),
    column("mood", "output", written="text"),
)


def made(kind="COMPLETE", **changes):
    definition = {**DEFINITION, "description": "Moods", "transform": {"type": "ai"}, **changes.pop("definition", {})}
    run = a_run(
        definition=definition,
        preflight=Preflight(columns=COLUMNS).model_dump(mode="json"),
        **{"completed_at": NOW, "status": "succeeded", **changes},
    )
    score = EvaluatorSummary(mean=0.5, std=0.1, min=0.0, max=1.0, threshold=0.7, pass_rate=0.5)
    calls = StageCalls(stage="transform", purpose="transform", provider="p", model="m", made=2, tokens_in=9, cost=0.25)
    checks = [
        CheckSummary(
            stage=stage, name="n", check="regex", column=column, action=action, seen=9, missed=missed, outcome=outcome
        )
        for stage, column, action, missed, outcome in (
            ("extract", "id", "quarantine", 2, "quarantined"),
            ("load", None, "warn", 0, "passed"),
        )
    ]
    report = build(run, Tally(extracted=9, loaded=7, cost_transform=0.25), {"fit": score}, [calls], checks=checks)
    ended = None if kind in ("START", "RUNNING") else report
    return valid(event_of(kind, run, ended, at=NOW, namespace="team", project=PROJECT))


def test_the_end_of_a_run_is_told_with_counts_cost_checks_and_the_origin_of_each_column():
    event = made()
    assert (event["eventType"], event["job"]["namespace"], event["job"]["name"]) == ("COMPLETE", "team", "p")
    assert event["run"]["runId"] == event_id("run_1")
    facets = event["run"]["facets"]
    assert facets["loom_cost"]["total"] == 0.25
    assert facets["loom_cost"]["models"][0]["model"] == "m"
    assert facets["loom_records"]["extracted"] == 9
    assert facets["loom_evaluation"]["evaluators"]["fit"]["pass_rate"] == 0.5
    [source], [destination] = event["inputs"], event["outputs"]
    assert [each["name"] for each in source["facets"]["schema"]["fields"]] == ["id", "review"]
    assert source["inputFacets"]["inputStatistics"]["rowCount"] == 9
    [assertion] = source["inputFacets"]["dataQualityAssertions"]["assertions"]
    assert (assertion["success"], assertion["column"], assertion["actual"]) == (False, "id", "2 of 9")
    assert {each["name"]: each.get("type") for each in destination["facets"]["schema"]["fields"]} == {
        "id": "BIGINT",
        "mood": "text",
    }
    assert destination["facets"]["dataQualityAssertions"]["assertions"][0]["severity"] == "warn"
    assert destination["outputFacets"]["outputStatistics"]["rowCount"] == 7
    lineage = destination["facets"]["columnLineage"]["fields"]
    assert {name: [each["field"] for each in of["inputFields"]] for name, of in lineage.items()} == {
        "id": ["id"],
        "mood": ["review"],
    }


def test_the_beginning_of_a_run_is_told_without_what_only_its_end_knows():
    event = made("START", status="running", completed_at=None)
    assert "loom_cost" not in event["run"]["facets"]
    assert "outputStatistics" not in event["outputs"][0]["outputFacets"]


def test_a_sample_does_not_claim_to_write_the_destination_before_its_place_is_known():
    assert made("START", sample=5)["outputs"] == []
    assert made(sample=5, destination="out.sample.csv")["outputs"][0]["name"] == "/project/out.sample.csv"


def test_a_replay_names_its_run_and_given_records_have_no_source():
    event = made(replay_of="run_0", records="given_1")
    assert event["run"]["facets"]["parent"]["run"]["runId"] == event_id("run_0")
    assert event["inputs"][0]["namespace"] == "loom"


def test_the_sources_that_steps_join_with_are_inputs_too():
    joins = [{"name": each, "type": "join", "source": "data/teams.csv"} for each in ("team", "again")]
    event = made(definition={"transform": {"type": "steps", "steps": joins}})
    assert [each["name"] for each in event["inputs"]] == ["/project/in.csv", "/project/data/teams.csv"]


def test_the_error_of_a_run_that_failed_is_told():
    assert made("FAIL", status="failed", error_message="no")["run"]["facets"]["errorMessage"]["message"] == "no"


def test_nothing_is_said_of_columns_that_code_makes():
    event = made(definition={"transform": {"type": "python", "function": "f:f"}})
    scored = made(definition={"transform": {"type": "scorer", "scorer": "vader", "field": "review"}})
    assert "mood" in scored["outputs"][0]["facets"]["columnLineage"]["fields"]
    assert "mood" not in event["outputs"][0]["facets"]["columnLineage"]["fields"]


def test_the_address_of_a_collector_gets_its_usual_path_where_it_has_none():
    assert address_of("http://marquez:5000/") == "http://marquez:5000/api/v1/lineage"
    assert address_of("https://lineage.example/ingest?team=a") == "https://lineage.example/ingest?team=a"


def test_a_run_names_the_task_that_has_asked_for_it_and_what_that_belongs_to():
    task, dag = "01978f6a-8c1e-7c1b-9d0e-3f0a5b6c7d8e", "01978f6a-0000-7c1b-9d0e-3f0a5b6c7d8e"
    asked = {"run": f"https://air/flow/daily.reviews/{task}", "root": f"https://air/flow/daily/{dag}"}
    run = a_run(definition=DEFINITION, lineage_parent=asked)
    event = valid(event_of("START", run, None, at=NOW, namespace="team", project=PROJECT))
    parent = event["run"]["facets"]["parent"]
    assert (parent["run"], parent["root"]["run"]) == ({"runId": task}, {"runId": dag})
    assert parent["job"] == {"namespace": "https://air/flow", "name": "daily.reviews"}
    assert parent["root"]["job"] == {"namespace": "https://air/flow", "name": "daily"}
    alone = a_run(definition=DEFINITION, lineage_parent={"run": asked["run"], "root": None})
    event = valid(event_of("START", alone, None, at=NOW, namespace="team", project=PROJECT))
    assert "root" not in event["run"]["facets"]["parent"]
