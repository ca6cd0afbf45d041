"""Tests pipelines that are built in Python of functions, classes and objects, where a file has names."""

from typing import ClassVar

import pytest

import loom
from loom import DataConnector, InvalidDefinition, PluginEvaluator, PluginTransform, SyncLoom
from loom.connectors import ExtractResult, LoadResult, Record
from loom_common.errors import ConfigurationError
from loom_common.plugins import callables


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(callables, "_kept", type(callables._kept)())


def numbers(most: int = 10):
    yield from ({"id": str(number), "stars": number % 5 + 1} for number in range(most))


def mood(record):
    return {"mood": "good" if record["stars"] > 2 else "bad"}


def built(**sections):
    usual = {"extract": {"source": numbers, "key": "id"}, "transform": mood, "load": {"destination": "out.csv"}}
    return loom.Pipeline(name="moods", **{**usual, **sections})


def test_functions_and_lambdas_stand_where_a_file_has_names():
    loaded = []
    pipeline = built(
        extract={"source": numbers, "key": "id", "quality_checks": [lambda record: record["id"] != "3"]},
        evaluate={
            "evaluators": [
                {"function": lambda output, record: float(output["mood"] == "good"), "threshold": 0.5},
                {"function": lambda output, record: record["stars"] / 5, "threshold": 0.9},
            ],
            "quality_gate": lambda scores: any(score.passed for score in scores),
        },
        load={"destination": loaded.extend},
    )
    result = SyncLoom().run(pipeline, {})
    assert (result.status, result.report.records["quarantined"]) == ("succeeded", 1)
    assert [row["id"] for row in loaded] == ["2", "4", "7", "8", "9"]
    assert [each["name"] for each in pipeline.definition()["evaluate"]["evaluators"]] == ["lambda", "lambda_2"]


class Store(DataConnector):
    loaded: ClassVar[list] = []

    async def connect(self):
        pass

    async def disconnect(self):
        pass

    async def validate_connection(self):
        return True

    async def extract(self, query, batch_size=100, cursor=None):
        records = [Record(str(number), {"id": str(number), "stars": number}) for number in range(1, 6)]
        return ExtractResult(records, 5, has_more=False)

    async def load(self, records, destination):
        self.loaded.extend(record.data for record in records)
        return LoadResult(len(records), 0)


class Louder(PluginTransform):
    by: int = 1

    def build(self):
        return lambda record: {"loud": record["stars"] + self.by}


class Loudness(PluginEvaluator):
    def build(self):
        return lambda output, record: output["loud"] / 10


class AtLeast:
    def __init__(self, least):
        self.least = least

    def apply(self, scores):
        return all(score.value >= self.least for score in scores)


def test_classes_of_connectors_and_plugins_and_a_gate_that_was_made_serve_too(monkeypatch):
    monkeypatch.setattr(Store, "loaded", [])
    pipeline = loom.Pipeline(
        name="loud",
        extract=loom.ExtractConfig(source=Store, key="id"),
        transform={"type": Louder, "by": 2},
        evaluate=loom.EvaluateConfig(
            evaluators=[{"type": Loudness, "name": "loudness", "threshold": 0.1}], quality_gate=AtLeast(0.5)
        ),
        load=loom.LoadConfig(destination=Store),
    )
    assert SyncLoom().run(pipeline).report.records["loaded"] == 3
    assert [row["loud"] for row in Store.loaded] == [5, 6, 7]


def test_records_are_run_again_where_the_same_pipeline_was_built_again_and_not_elsewhere():
    def strict(limit):
        return lambda record: mood(record) if record["stars"] >= limit else 1 / 0

    sync = SyncLoom()
    result = sync.run(built(transform=strict(2)))
    assert result.report.records["quarantined"] == 2
    callables._kept.clear()  # as another process has it
    report = sync.retry(result.run_id, edits={"stars": 5})
    assert report.status == "failed"
    assert "Build the same pipeline here before, or name the object `module:name`" in str(report.error)
    built(transform=strict(2))
    assert sync.retry(result.run_id, edits={"stars": 5}).records["loaded"] == 2


def test_an_object_that_workers_cannot_import_is_refused_for_a_cluster_before_anything_is_asked_of_it():
    with pytest.raises(ConfigurationError, match=r"cannot run in a cluster: 'lambda' has no name.*Write it at the top"):
        SyncLoom().run(built(transform=lambda record: record), cluster=True)


def test_a_file_of_the_name_that_a_built_pipeline_is_given_is_not_read(tmp_path):
    (tmp_path / "pipeline.py").write_text("import loom\n")
    assert SyncLoom().validate(built()).valid
    assert SyncLoom().estimate(built()).cost == 0


def test_a_gate_in_a_file_may_be_a_function_of_scores(tmp_path):
    (tmp_path / "rules.py").write_text(
        "def score(output, record):\n    return record['stars'] / 5\n\n"
        "def strict(scores):\n    return scores[0].value > 0.7\n"
    )
    evaluators = [{"type": "python", "function": "rules:score", "threshold": 0.1}]
    pipeline = built(evaluate={"evaluators": evaluators, "quality_gate": "rules:strict"})
    assert SyncLoom().run(pipeline).report.records["passed"] == 4


def test_an_object_where_none_can_stand_is_a_mistake_in_looms_words():
    with pytest.raises(InvalidDefinition, match="description"):
        built(description=mood)
    with pytest.raises(InvalidDefinition, match="threshold"):
        built(evaluate={"evaluators": [lambda output, record: 1.0]})
