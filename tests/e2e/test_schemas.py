"""Tests schemas of records in whole runs, embedded and on a cluster: versions, drift and contracts."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest

from loom.project.config import LoomConfig
from loom.session import open_session
from loom.views import open_views
from support.books import assert_balanced
from support.clients import ended, request_of
from support.drift_cases import DRIFTED, FAILS, STORED, of_record, words
from support.projects import PASSTHROUGH, project, python

FIRST = [{"id": f"r{n}", "age": n, "mail": f"{n}@x.de"} for n in range(8)]
LATER = [{"id": "r1", "age": 2.5, "mail": None}, {"id": "r2", "age": "old", "mail": "2@x.de", "extra": True}]


@pytest.fixture(params=["embedded", "distributed"])
def mode(request, tmp_path):
    if request.param == "embedded":
        request.getfixturevalue("clean_environ")
        (tmp_path / "loom.yaml").touch()
        return tmp_path, "out.jsonl", LoomConfig.load(tmp_path / "loom.yaml")
    cluster = request.getfixturevalue("cluster")
    return cluster.project / "schemas", "out.jsonl", LoomConfig.load(cluster.project / "loom.yaml")


def shaped(folder, destination, rows, extract, load=None, answers=None):
    transform = PASSTHROUGH if answers is None else {**PASSTHROUGH, "schema": answers}
    made = project(
        folder, 1, name="shaped", source="people.jsonl", destination=destination, transform=transform,
        extract={"schema": extract, "batch_size": 2}, load={} if load is None else {"schema": load},
    )  # fmt: skip
    made.path("people.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return made


async def test_versions_evolve_or_hold_records_to_them(mode):
    folder, destination, config = mode

    async def run(rows, extract, load=None, answers=None):
        made = shaped(folder, destination, rows, extract, load, answers)
        async with open_session(config, cluster=config.distributed) as session:
            return (await ended(session, (await session.start(request_of(made, config))).run_id)).report

    async def versions():
        async with open_views(config) as views:
            return [(each.stage, each.version, list(each.columns)) for each in await views.schemas("shaped")]

    first = await run(FIRST, "auto", "auto", "auto")
    assert (first.status, first.drift) == ("succeeded", ())
    columns = ["id", "age", "mail"]
    assert await versions() == [("extract", 1, columns), ("load", 1, columns), ("transform", 1, columns)]

    kept = await run(LATER, {"columns": "discard_value", "types": "discard_row"})
    assert (kept.status, kept.records["loaded"], kept.records["quarantined"]) == ("failed", 0, 2)
    assert_balanced(kept.model_dump())

    warned = await run(LATER, "warn")
    assert warned.status == "succeeded"
    [changes] = [
        {each.column: each.change for each in found.changes} for found in warned.drift if found.stage == "extract"
    ]
    assert changes == {"age": "changed", "mail": "nullable", "extra": "added"}
    assert len(await versions()) == 3

    discarded = await run(LATER, None, None, "discard_row")
    assert (discarded.status, discarded.records["quarantined"]) == ("failed", 2)

    frozen = await run(LATER, "manual")
    assert frozen.status == "failed"
    assert "extract.schema` freezes it" in frozen.error

    grown = await run(LATER, "auto", None, "auto")
    assert grown.status == "succeeded"
    assert (await versions())[0] == ("extract", 2, [*columns, "extra"])

    for run_id in (kept.run_id, discarded.run_id):
        async with open_session(config, cluster=config.distributed) as session:
            again = (await ended(session, (await session.replay(run_id, None)).run_id)).report
        assert (again.records["extracted"], again.records["quarantined"]) == (2, 0)


@pytest.mark.parametrize("mode", ["auto", "warn", "manual", "discard_row", "discard_value"])
def test_a_run_does_with_every_kind_of_drift_what_the_documents_say(tmp_path, loom, mode):
    shaped(tmp_path, "out.jsonl", DRIFTED.values(), mode)
    columns = {name: column.model_dump(exclude_defaults=True) for name, column in STORED.items()}
    (tmp_path / "schema.json").write_text(json.dumps({"columns": columns}))
    assert loom("schema", "apply", "pipeline.yaml", "--from", "schema.json").code == 0
    done = loom("run", "pipeline.yaml", "--format", "json")
    expected = {kind: of_record(kind, mode) for kind in DRIFTED}
    versions = len(loom("schema", "history", "shaped", "--format", "json").report)
    assert versions == (2 if mode == "auto" else 1)
    if FAILS in expected.values():
        assert (done.code, done.report["status"]) == (1, "failed")
        assert "freezes it" in done.report["error"]
        return
    loaded = {row["id"]: row for row in map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())}
    assert {kind: words(kind, loaded.get(kind)) for kind in DRIFTED} == expected
    assert (done.report["records"]["loaded"], done.report["records"]["quarantined"]) == (
        len(loaded), len(DRIFTED) - len(loaded),
    )  # fmt: skip


def test_the_command_line_infers_stores_compares_and_shows(tmp_path, loom):
    shaped(tmp_path, "out.jsonl", FIRST, "manual")
    inferred = loom("schema", "infer", "people.jsonl")
    assert "candidate_key: true" in inferred.out
    (tmp_path / "schema.yaml").write_text(inferred.out)
    assert loom("schema", "diff", "pipeline.yaml").code == 2
    assert loom("schema", "apply", "pipeline.yaml", "--stage", "transform").code == 2
    assert loom("schema", "apply", "pipeline.yaml", "--from", "schema.yaml").code == 0
    assert loom("schema", "diff", "pipeline.yaml").code == 0
    shaped(tmp_path, "out.jsonl", LATER, "manual")
    differing = loom("schema", "diff", "pipeline.yaml", "--format", "json")
    assert differing.code == 1
    assert {each["column"]: each["change"] for each in differing.report} == {
        "age": "changed", "mail": "nullable", "extra": "added",
    }  # fmt: skip
    assert loom("schema", "apply", "pipeline.yaml").code == 0
    history = loom("schema", "history", "shaped", "--format", "json").report
    assert [each["version"] for each in history] == [2, 1]
    assert "extra is new" in history[0]["changes"]
    shown = loom("schema", "show", "shaped", "--format", "json").report
    assert [(each["column"], each["type"]) for each in shown][-1] == ("extra", "boolean")
    assert loom("schema", "infer", "people.jsonl", "--format", "json").report["columns"]["age"]["type"] == "any"


def test_columns_are_compared_before_a_run_and_what_is_done_is_told(tmp_path, loom):
    with closing(sqlite3.connect(tmp_path / "out.db")) as db:
        db.execute("CREATE TABLE people (id TEXT PRIMARY KEY, age INTEGER, other DATE)")
    made = shaped(tmp_path, "sqlite:///out.db?table=people", FIRST, None, {"columns": "evolve"})
    made.say(transform={"type": "passthrough", "output": {"id": "string", "age": "number", "mail": "string"}})
    found = loom("validate", "pipeline.yaml", "--connect", "--format", "json").report[0]["columns"]
    assert [(row["column"], row["origin"], row["there"], row["done"]) for row in found] == [
        ("id", "source and output", "TEXT", "as it is"),
        ("age", "source and output", "INTEGER", "widened where a value has a fraction"),
        ("mail", "source and output", None, "added as TEXT"),
        ("other", None, "DATE", "not written"),
    ]
    table = loom("validate", "pipeline.yaml", "--connect").out
    assert "what is done" in table
    assert "added as TEXT" in table
    ran = loom("run", "pipeline.yaml")
    assert ran.code == 0
    assert "Column mail: added as TEXT." in ran.err
    with closing(sqlite3.connect(tmp_path / "out.db")) as db:
        mails = [mail for (mail,) in db.execute("SELECT mail FROM people ORDER BY id LIMIT 2")]
    assert mails == ["0@x.de", "1@x.de"]


def test_validate_shows_how_records_differ_from_the_stored_versions_and_what_a_run_would_do(tmp_path, loom):
    def validated():
        return loom("validate", "pipeline.yaml", "--format", "json").report[0]

    shaped(tmp_path, "out.jsonl", FIRST, "warn")
    assert validated()["drift"] == []
    assert not (tmp_path / ".loom").exists()
    assert loom("schema", "apply", "pipeline.yaml").code == 0
    fits = validated()
    assert (fits["valid"], fits["drift"]) == (True, [])
    told = [each["detail"] for each in fits["checks"] if each["check"] == "schema"]
    assert told == ["the first 8 records of the source: as in version 1 of extract"]
    done = {}
    for contract in ("warn", "auto", "discard_row", "discard_value", "manual"):
        shaped(tmp_path, "out.jsonl", LATER, contract)
        found = validated()
        (stage,) = found["drift"]
        assert (stage["stage"], stage["version"], stage["records"]) == ("extract", 1, 2)
        assert found["valid"] == (contract != "manual")
        done[contract] = {each["column"]: (each["change"], each["done"]) for each in stage["changes"]}
    reported = "loaded, and reported"
    assert done == {
        "warn": {"age": ("changed", reported), "mail": ("nullable", reported), "extra": ("added", reported)},
        "auto": {
            "age": ("changed", "loaded, and wider in the next version"),
            "mail": ("nullable", reported),
            "extra": ("added", "loaded, and added to the next version"),
        },
        "discard_row": {
            "age": ("changed", "its records are quarantined"),
            "mail": ("nullable", reported),
            "extra": ("added", "its records are quarantined"),
        },
        "discard_value": {
            "age": ("changed", "loaded with null"),
            "mail": ("nullable", reported),
            "extra": ("added", "loaded without the column"),
        },
        "manual": {
            "age": ("changed", "the run fails"),
            "mail": ("nullable", reported),
            "extra": ("added", "the run fails"),
        },
    }
    table = loom("validate", "pipeline.yaml")
    assert table.code == 2
    assert "what is done" in table.out
    assert "`extract.schema` freezes it" in table.out


ASKED = """
from pathlib import Path

def answered(record):
    with open(Path(__file__).with_name("asked.txt"), "a") as asked:
        asked.write(record["id"])
    return {"mood": "good"}
"""


def test_what_is_not_there_yet_is_refused_before_anything_is_asked_where_it_is_frozen(tmp_path, loom):
    made = project(
        tmp_path, 3, name="moods", transform={**python("asking:answered"), "schema": "freeze"},
        extract={"schema": "freeze"}, destination="sqlite:///out.db?table=moods", load={"schema": {"tables": "freeze"}},
    )  # fmt: skip
    made.path("asking.py").write_text(ASKED)
    made.path("moods.yaml").write_text("columns: {mood: {type: string}}")
    tried = loom("run", "pipeline.yaml", "--sample", "1")
    assert (tried.code, made.path("asked.txt").read_text()) == (0, "r000000")
    refused = loom("run", "pipeline.yaml")
    assert (refused.code, "has no table moods" in refused.err, "`tables: freeze`" in refused.err) == (2, True, True)
    with closing(sqlite3.connect(tmp_path / "out.db")) as db:
        db.execute("CREATE TABLE moods (id TEXT PRIMARY KEY, mood TEXT)")
    for stage, more in {"extract": (), "transform": ("--stage", "transform", "--from", "moods.yaml")}.items():
        refused = loom("run", "pipeline.yaml")
        assert (refused.code, f"{stage}.schema: found no stored version" in refused.err) == (2, True)
        assert "`loom schema apply FILE" in refused.err
        assert loom("schema", "apply", "pipeline.yaml", *more).code == 0
    assert made.path("asked.txt").read_text() == "r000000"
    ran = loom("run", "pipeline.yaml", "--format", "json")
    assert (ran.code, ran.report["records"]["loaded"]) == (0, 3)
