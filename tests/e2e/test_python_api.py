"""Tests what Python code asks of Loom besides starting runs, with and without an event loop."""

import inspect

import pytest

import loom as package
from loom import InvalidDefinition, Loom, SyncLoom
from loom_common.errors import ConfigurationError, NotFound
from support.projects import project, python

CODE = """
def judged(record):
    if int(record["stars"]) < 2:
        raise ValueError("too few stars")
    return {"mood": "good"}
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    made = project(tmp_path, 20, transform=python(), code=CODE)
    monkeypatch.chdir(tmp_path)
    return made


def test_all_of_it_works_where_code_is_not_asynchronous(place):
    result = package.run("pipeline.yaml", collect=True)
    assert (result.status, len(list(result.records()))) == ("succeeded", 16)
    loom = SyncLoom()
    assert loom.validate("pipeline.yaml").valid
    assert loom.estimate("pipeline.yaml").cost == 0
    assert [run.run_id for run in loom.history("reviews")] == [result.run_id]
    assert loom.get_status(result.run_id)["status"] == "succeeded"
    assert loom.get_metrics("reviews").total_cost == 0
    nodes = {node.stage: (node.records_in, node.records_out) for node in loom.get_lineage("reviews").nodes}
    assert nodes["transform"] == (20, 16)
    kept = loom.get_quarantined_records("reviews")
    assert {record.failure_reason for record in kept} == {"ValueError: too few stars"} or "too few stars" in (
        kept[0].failure_reason
    )
    assert kept[0].id == kept[0]["record_id"]
    statuses = [record.status for record in package.stream("pipeline.yaml")]
    assert (statuses.count("validated"), statuses.count("quarantined")) == (16, 4)


def test_records_that_were_kept_back_are_run_again_as_they_are_edited(place):
    loom = SyncLoom()
    result = loom.run("pipeline.yaml")
    [first, *_] = [record.id for record in loom.get_quarantined_records(run_id=result.run_id)]
    assert loom.retry(result.run_id, [first], edits={"stars": "5"}).records["loaded"] == 1
    assert loom.retry(result.run_id, edits={"stars": "5"}).records["loaded"] == 3
    with pytest.raises(ConfigurationError, match="has no quarantined record that waits"):
        loom.retry(result.run_id)
    with pytest.raises(NotFound, match="run_nowhere"):
        loom.cancel("run_nowhere")


async def test_it_works_where_an_event_loop_runs_as_in_a_notebook(place):
    assert package.run("pipeline.yaml", sample=3).status == "succeeded"
    for record in package.stream("pipeline.yaml"):
        assert record.id
        break


def test_the_plain_form_has_every_method_of_the_other():
    plain = {"run_pipeline": "run", "stream_pipeline": "stream"}
    for name, method in inspect.getmembers(Loom, inspect.isfunction):
        if name.startswith("_"):
            continue
        twin = getattr(SyncLoom, plain.get(name, name))
        lacking = inspect.signature(method).parameters.keys() - inspect.signature(twin).parameters.keys()
        assert lacking <= {"handler"}, name
        assert inspect.getdoc(method), name
        assert inspect.getdoc(twin), name


def test_mistakes_of_a_pipeline_that_is_built_in_python_are_looms_own():
    with pytest.raises(InvalidDefinition, match="batch_size"):
        package.ExtractConfig(source="a.csv", batch_size=0)
    with pytest.raises(InvalidDefinition) as raised:
        package.Pipeline(name="Wrong Name", extract={"source": "a.csv"}, transform={"type": "passtrough"})
    words = str(raised.value)
    assert "name" in words
    assert "load" in words
    assert "passthrough" in words


def test_a_mistake_of_a_pipeline_is_told_with_its_line(place):
    place.say(load={"destination": "out.csv", "mode": "apend"})
    found = SyncLoom().validate("pipeline.yaml")
    assert not found.valid
    assert found.problems[0].suggestion == "append"


def test_names_are_shown_before_they_are_used():
    assert {"Loom", "SyncLoom", "run", "stream", "Record", "InvalidDefinition"} <= set(dir(package))
    for name in package.__all__:
        assert getattr(package, name) is not None
