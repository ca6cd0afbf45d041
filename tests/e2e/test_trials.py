"""A trial never touches production: a sample loads beside its destination, whatever that is, and shows rows."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import ClassVar

import pytest

from loom_common.plugins import registry
from loom_common.plugins.kinds import Kind
from loom_connectors.custom import DataConnector, ExtractResult, LoadResult
from support.projects import ids, project, python, review_ids, rows_at

CODE = """
def judged(record):
    return {"mood": "good"}

def otherwise(record):
    return {"temper": "calm", "sure": 0.5}

def odd(record):
    return {"mood": "odd" if record["id"] == "r000001" else "good"}
"""
PLACES = {
    "results/out.csv": "results/out.sample.csv",
    "results/out.jsonl": "results/out.sample.jsonl",
    "sqlite:///out.db?table=moods": "sqlite:///out.db?table=moods_sample",
}
MODES = ("append", "replace", None)


def rows(made, place=None):
    return asyncio.run(rows_at(place or made.destination, made.folder, {}))


def everything_but_samples(folder):
    """Return all that lies in the project but Loom's state, samples, and what the interpreter leaves: content and
    time."""
    passed_over = (".loom/", "__pycache__", ".sample.", "out.db")
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in files
        if not any(each in str(path.relative_to(folder)) for each in passed_over)
    }


def tables(folder):
    """Return what the database holds but for the tables of samples."""
    if not (folder / "out.db").exists():
        return {}
    with closing(sqlite3.connect(folder / "out.db")) as database:
        names = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {
            name: database.execute(f'SELECT * FROM "{name}" ORDER BY 1, 2').fetchall()
            for name in names
            if not name.endswith("_sample")
        }


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("destination", PLACES)
def test_a_sample_loads_beside_its_destination_and_leaves_that_as_it_is(tmp_path, run, destination, mode):
    load = {"mode": mode} if mode else {}
    made = project(tmp_path, 30, transform=python(), code=CODE, destination=destination, load=load)
    assert run().code == 0
    before = everything_but_samples(tmp_path), tables(tmp_path)
    for number in (5, 3, 7):
        end = run("--sample", str(number))
        assert (end.code, end.report["records"]["loaded"], end.report["sample"]) == (0, number, number), end.err
        assert ids(rows(made, PLACES[destination])) == review_ids(number)
        assert [row["id"] for row in end.report["rows"]] == review_ids(number)
        assert "sample" in end.report["destination"]
    assert (everything_but_samples(tmp_path), tables(tmp_path)) == before


@pytest.mark.parametrize("destination", PLACES)
def test_a_sample_of_a_changed_pipeline_takes_the_place_of_the_sample_before(tmp_path, run, destination):
    made = project(tmp_path, 30, transform=python(), code=CODE, destination=destination)
    assert run("--sample", "4").code == 0
    made.say(transform=python("transforms:otherwise"))
    end = run("--sample", "2")
    assert (end.code, end.report["records"]["loaded"]) == (0, 2), end.err
    found = rows(made, PLACES[destination])
    assert [(set(row), row["temper"]) for row in found] == [({"id", "temper", "sure"}, "calm")] * 2
    assert rows(made) == []


def test_a_sample_goes_into_the_destination_itself_where_that_is_asked_for(tmp_path, run):
    made = project(tmp_path, 30, transform=python(), code=CODE)
    end = run("--sample", "4", "--load")
    assert (end.code, end.report["sample"]) == (0, None), end.err
    assert ids(rows(made)) == review_ids(4)
    assert run("--load").code == 2


def test_a_sample_leaves_the_second_destination_as_it_is(tmp_path, run):
    load = {"fallback": "refused.jsonl", "include": []}
    made = project(tmp_path, 30, transform=python(), code=CODE, destination="sqlite:///out.db?table=moods", load=load)
    made.path("refused.jsonl").write_text('{"id": "old", "mood": "odd"}\n')
    assert run("--sample", "5").code == 0
    assert made.path("refused.jsonl").read_text() == '{"id": "old", "mood": "odd"}\n'


def test_a_sample_of_more_records_than_any_store_counts_is_all_of_them(tmp_path, run):
    project(tmp_path, 3)
    end = run("--sample", str(10**20))
    assert (end.code, end.report["records"]["loaded"]) == (0, 3), end.err


def test_history_and_lineage_tell_a_trial_from_a_run(tmp_path, run, loom):
    project(tmp_path, 30, transform=python(), code=CODE)
    assert run().code == run("--sample", "2").code == 0
    history = loom("history", "reviews", "--format", "json").report
    assert [each["sample"] for each in history] == [2, None]
    assert "sample of" in loom("history", "reviews").out
    places = [each["output_destination"] for each in loom("lineage", "reviews", "--format", "json").report]
    assert [Path(place).name for place in places] == ["out.sample.csv", "out.csv"]


def test_the_report_of_a_sample_shows_rows_and_where_they_are(tmp_path, loom):
    project(tmp_path, 30, transform=python(), code=CODE)
    seen = loom("run", "pipeline.yaml", "--sample", "12")
    assert "Rows (10 of 12 loaded)" in seen.out
    assert "r000003 good" in seen.words
    assert "results/out.sample.csv" in seen.out
    assert "a trial over at most 12 records" in seen.words


def test_records_that_a_sample_kept_back_are_retried_beside_the_destination_too(tmp_path, run, loom):
    code = CODE.replace(
        'return {"mood": "good"}', 'return {"mood": record["mood" if record["id"] == "r000001" else "id"]}', 1
    )
    made = project(tmp_path, 30, transform=python(), code=code)
    end = run("--sample", "4")
    assert (end.code, end.report["records"]["quarantined"]) == (0, 1), end.err
    again = loom("quarantine", "retry", end.report["run_id"], "--edit", "mood=fine", "--format", "json")
    assert (again.code, again.report["records"]["loaded"]) == (0, 1), again.err
    assert ids(rows(made, "results/out.sample.csv")) == review_ids(4)
    assert not made.path("results/out.csv").exists()


def test_a_sample_takes_no_registered_definition_s_place(tmp_path, run):
    made = project(tmp_path, 30, transform=python(), code=CODE)
    assert run().code == 0
    made.say(version="9.9.9")
    assert run("--sample", "2").code == 0
    with closing(sqlite3.connect(tmp_path / ".loom/loom.db")) as database:
        assert database.execute("SELECT version FROM pipelines").fetchall() == [("1.0.0",)]


class OwnDestination(DataConnector):
    """Represents a connector of the user's own."""

    called: ClassVar[list[str]] = []

    async def connect(self) -> None:
        self.called.append("connect")

    async def disconnect(self) -> None: ...

    async def extract(self, query: str, batch_size: int = 100, cursor: str | None = None) -> ExtractResult:
        raise NotImplementedError

    async def load(self, records, destination) -> LoadResult:
        self.called.append("load")
        return LoadResult(len(records), 0)

    async def validate_connection(self) -> bool:
        return True


def test_a_sample_does_not_call_a_connector_of_the_user_s_own(tmp_path, run, monkeypatch):
    monkeypatch.setitem(registry._registered, (Kind.DESTINATION, "shelf"), OwnDestination)
    monkeypatch.setattr(OwnDestination, "called", [])
    made = project(tmp_path, 30, transform=python(), code=CODE, destination="shelf://here/x?table=moods")
    end = run("--sample", "4")
    assert (end.code, OwnDestination.called) == (0, []), end.err
    assert Path(end.report["destination"]) == tmp_path / "moods.sample.jsonl"
    assert ids(rows(made, "moods.sample.jsonl")) == review_ids(4)
    assert run().code == 0
    assert "load" in OwnDestination.called
