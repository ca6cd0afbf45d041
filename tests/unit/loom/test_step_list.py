"""Tests `loom steps`, and steps of the scope `batch` in a run of this process."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

import loom
from loom import SyncLoom, pipeline_step, register_step
from loom.cli.root_command import application
from loom.offered.steps import list_steps
from loom.plugins import Kind, refuse_registered
from loom_common.domain.definition.reader import parse
from loom_common.errors import ConfigurationError
from loom_common.plugins import registry


@pipeline_step(scope="batch", inputs=["stars"], outputs={"share": "number"}, phase="profiling", version="2.0")
def share_of_batch(records):
    """Say which share of the stars of its batch a record has."""
    total = sum(each["stars"] for each in records)
    return [{"share": each["stars"] / total} for each in records]


@pipeline_step(dependencies=["share_of_batch"], outputs={"big": "boolean"})
def big_share(record):
    """Say whether it is more than a third."""
    return {"big": record["share"] > 1 / 3}


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "_registered", {})
    register_step(share_of_batch)
    register_step(big_share)


def said(*arguments):
    result = CliRunner().invoke(application(["steps"]), ["steps", *arguments])
    return result.exit_code, result.output


def numbers():
    yield from ({"id": str(number), "stars": number} for number in (1, 2, 3, 4))


def test_a_run_gives_a_step_of_that_scope_whole_batches():
    loaded = []
    pipeline = loom.Pipeline(
        name="shares",
        extract={"source": numbers, "key": "id", "batch_size": 2},
        transform={"steps": ["big_share"]},
        load={"destination": loaded.extend},
    )
    result = SyncLoom().run(pipeline, {})
    assert result.status == "succeeded"
    assert [(row["share"], row["big"]) for row in sorted(loaded, key=lambda row: row["id"])] == [
        (1 / 3, False), (2 / 3, True), (3 / 7, True), (4 / 7, True),
    ]  # fmt: skip


def test_all_steps_are_listed_with_what_they_say_of_themselves():
    code, out = said("list", "--format", "json")
    found = {each["name"]: each for each in json.loads(out)}
    assert code == 0
    assert {"ai", "filter", "gather", "share_of_batch", "big_share"} <= set(found)
    assert (found["ai"]["own"], found["big_share"]["own"]) == (True, False)
    assert found["big_share"]["dependencies"] == ["share_of_batch"]
    assert found["share_of_batch"]["scope"] == "batch"
    assert len(json.loads(said("list", "--registered", "--format", "json")[1])) < len(found)


def test_one_step_is_shown_with_its_keys():
    code, out = said("show", "share_of_batch")
    assert code == 0
    for words in ("which share of the stars", "batch", "profiling", "2.0", "stars", "share: number"):
        assert words in out
    assert "max_parts (default 1000)" in said("show", "unnest")[1]


def test_what_is_not_there_is_told():
    result = CliRunner().invoke(application(["steps"]), ["steps", "show", "big_shar"])
    assert isinstance(result.exception, ConfigurationError)
    assert "Did you mean 'big_share'?" in str(result.exception)
    assert said("show", "json:loads")[0] == 2


def test_a_step_of_this_process_is_refused_for_a_cluster():
    pipeline = parse({
        "name": "shares", "extract": {"source": "a.csv"}, "transform": {"steps": ["big_share"]},
        "load": {"destination": "b.csv"},
    })  # fmt: skip
    with pytest.raises(ConfigurationError, match=r"entry point of the group loom\.steps"):
        refuse_registered(pipeline)


@pytest.mark.parametrize("step", [len, object()])
def test_what_is_not_decorated_is_no_step(step):
    with pytest.raises(ConfigurationError, match="Decorate it"):
        register_step(step)


def test_the_name_of_a_step_of_loom_s_own_is_refused():
    with pytest.raises(ConfigurationError, match="Loom's own"):
        register_step(pipeline_step(name="filter")(lambda record: record))


def test_steps_of_loom_s_packages_that_are_absent_name_the_package():
    absent = {each.name: each.problem for each in list_steps() if each.problem}
    assert all("pip install loom-" in problem for problem in absent.values())
    assert Kind.STEP.group == "loom.steps"
