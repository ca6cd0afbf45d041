"""Tests pipelines that depend on each other: their order, what is told of mistakes, and which run where one fails."""

from __future__ import annotations

import json

import pytest


def pipeline(folder, name, source, destination, *, depends_on=None, transform=None):
    written = {
        "name": name,
        **({} if depends_on is None else {"depends_on": depends_on}),
        "extract": {"source": source},
        "transform": transform or {"type": "passthrough"},
        "load": {"destination": destination},
    }
    (folder / "pipelines").mkdir(exist_ok=True)
    lines = (f"{key}: {json.dumps(value)}\n" for key, value in written.items())
    (folder / "pipelines" / f"{name}.yaml").write_text("".join(lines))


@pytest.fixture
def project(tmp_path):
    (tmp_path / "loom.yaml").touch()
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "in.csv").write_text("id\n1\n2\n")
    pipeline(tmp_path, "raw", "in.csv", "raw.jsonl")
    pipeline(tmp_path, "scores", "raw.jsonl", "scores.jsonl", depends_on="raw")
    pipeline(tmp_path, "means", "raw.jsonl", "means.jsonl", depends_on=["raw"])
    pipeline(tmp_path, "both", "scores.jsonl", "both.jsonl", depends_on=["scores", "means"])
    return tmp_path


def ends_of(done):
    return [(each["name"], each["status"]) for each in done.report["runs"]]


def test_those_below_run_after_those_that_they_depend_on_and_a_parameter_is_set_where_there_is_one(project, loom):
    path = project / "pipelines" / "raw.yaml"
    path.write_text("params: {least: {type: integer, default: 1}}\n" + path.read_text())
    done = loom("run", "raw", "--downstream", "--param", "least=2", "--format", "json")
    assert (done.code, ends_of(done)) == (
        0,
        [("raw", "succeeded"), ("means", "succeeded"), ("scores", "succeeded"), ("both", "succeeded")],
    )
    assert all(each["report"]["run_id"] == each["run_id"] for each in done.report["runs"])
    assert (project / "pipelines" / "both.jsonl").read_text().count("\n") == 2
    named = {run["run_id"] for run in loom("history", "--format", "json").report}
    assert named == {each["run_id"] for each in done.report["runs"]}


def test_only_those_below_run_and_each_is_reported(project, loom):
    assert loom("run", "raw").code == 0
    done = loom("run", "scores", "--downstream")
    assert done.code == 0
    assert [line.split()[:2] for line in done.out.splitlines()[-2:]] == [["scores", "succeeded"], ["both", "succeeded"]]


def test_a_pipeline_that_fails_stops_those_below_it_and_no_others(project, loom):
    (project / "pipelines" / "code.py").write_text("def bad(record):\n    raise ValueError('no')\n")
    broken = {"type": "python", "function": "code:bad", "on_failure": "abort"}
    pipeline(project, "means", "raw.jsonl", "means.jsonl", depends_on=["raw"], transform=broken)
    done = loom("run", "raw", "--downstream", "--format", "json")
    assert done.code == 1
    assert ends_of(done) == [
        ("raw", "succeeded"), ("means", "failed"), ("scores", "succeeded"), ("both", "not run"),
    ]  # fmt: skip
    assert "both is not run: means failed." in done.err
    assert done.report["runs"][3]["why"] == "means failed"


def test_a_pipeline_that_cannot_begin_stops_those_below_it(project, loom):
    pipeline(project, "scores", "nowhere.csv", "scores.jsonl", depends_on=["raw"])
    done = loom("run", "raw", "--downstream", "--format", "json")
    assert (done.code, ends_of(done)[1:]) == (2, [("means", "succeeded"), ("scores", "refused"), ("both", "not run")])


def test_mistakes_of_those_below_are_told_before_anything_runs(project, loom):
    pipeline(project, "both", "scores.jsonl", "both.jsonl", depends_on=["scores", "meens"])
    done = loom("run", "raw", "--downstream")
    assert (done.code, loom("history", "--format", "json").report) == (2, [])
    assert "both.yaml:2" in done.err
    assert "Did you mean 'means'?" in done.err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--sample", "1"], "a sample gives those below nothing to read"),
        ([], "No pipeline of this project depends on 'both'"),
    ],
)
def test_what_cannot_be_run_downstream_is_refused(project, loom, options, words):
    done = loom("run", "both", "--downstream", *options)
    assert done.code == 2
    assert words in " ".join(done.err.split())


def test_a_dry_run_names_the_order(project, loom):
    done = loom("run", "raw", "--downstream", "--dry-run")
    assert "After it would run, in this order: means, scores, both." in done.err
    done = loom("run", "raw", "--downstream", "--dry-run", "--format", "json")
    assert done.report["downstream"] == ["means", "scores", "both"]


def test_circles_and_unknown_names_are_told_with_their_lines(project, loom):
    pipeline(project, "raw", "in.csv", "raw.jsonl", depends_on=["both"])
    pipeline(project, "alone", "in.csv", "alone.jsonl", depends_on=["alone", "nobody"])
    done = loom("validate", "pipelines/raw.yaml", "pipelines/alone.yaml", "--format", "json")
    assert done.code == 2
    circle, (itself, unknown) = (each["problems"] for each in done.report)
    assert "(raw -> scores -> both -> raw is a circle)" in circle[0]["message"] or (
        "(raw -> means -> both -> raw is a circle)" in circle[0]["message"]
    )
    assert (circle[0]["file"], circle[0]["line"]) == ("pipelines/raw.yaml", 2)
    assert "alone -> alone is a circle" in itself["message"]
    assert "'nobody'" in unknown["message"]
    refused = loom("run", "raw", "--downstream")
    assert refused.code == 2
    assert "depend on each other in a circle" in refused.err


def test_lineage_shows_pipelines_above_and_below(project, loom):
    pipeline(project, "copy", "both.jsonl", "copy.jsonl")
    shown = loom("lineage", "scores", "--upstream", "--downstream", "--format", "json").report
    assert [(each["direction"], each["steps"], each["pipeline"], each["by"]) for each in shown] == [
        ("upstream", 1, "raw", "scores: depends_on"),
        ("downstream", 1, "both", "scores: depends_on"),
        ("downstream", 2, "copy", "both: both.jsonl"),
    ]
    assert "depends_on" in loom("lineage", "raw", "--downstream").out
    assert loom("lineage", "nobody", "--upstream").code == 2
    assert "No pipeline of this project is upstream of 'raw'." in loom("lineage", "raw", "--upstream").err
    assert loom("lineage", "raw", "--upstream", "--run-id", "run_000000000000").code == 2


def test_a_pattern_and_a_query_are_no_link(project, loom):
    pipeline(project, "pattern", "both*.jsonl", "out.jsonl")
    assert loom("lineage", "both", "--downstream", "--format", "json").report == []
