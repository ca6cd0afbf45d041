"""Tests what becomes of the definition of a run that is given its records, or gives its rows back."""

import pytest

from loom_common.errors import InvalidDefinition
from loom_coordinator.intake.definitions.given_records import definition_of_run, keeping_rows

NAME = "given_" + "a" * 32 + "/" + "b" * 64
EXTRACT = {
    "source": "in.csv",
    "query": "SELECT 1",
    "options": {"x": 1},
    "partitions": 2,
    "incremental": "at",
    "key": "id",
}
DEFINITION = {"name": "p", "extract": EXTRACT, "load": {"destination": "out.csv"}}


def test_it_reads_them_in_place_of_the_source_and_the_rest_holds():
    assert definition_of_run(DEFINITION, NAME) == {
        **DEFINITION,
        "extract": {"source": f"loom-records://{NAME}", "key": "id"},
    }
    assert DEFINITION["extract"]["source"] == "in.csv"


def test_without_records_it_stays_as_it_is():
    assert definition_of_run(DEFINITION, None) == DEFINITION


@pytest.mark.parametrize("name", ["", "run_0123456789ab/" + "b" * 64, NAME + "0", "../" + NAME])
def test_another_name_is_refused(name):
    with pytest.raises(InvalidDefinition, match="the name that storing the records gave"):
        definition_of_run(DEFINITION, name)


@pytest.mark.parametrize("name", [None, NAME])
def test_a_pipeline_that_names_records_of_a_run_is_refused(name):
    definition = {**DEFINITION, "extract": {"source": f"loom-records://{NAME}"}}
    with pytest.raises(InvalidDefinition, match="a source that stays"):
        definition_of_run(definition, name)


@pytest.mark.parametrize("extract", [None, "in.csv", ["in.csv"]])
def test_a_section_that_is_none_is_left_to_whoever_reads_the_definition(extract):
    assert definition_of_run({"extract": extract}, None) == {"extract": extract}
    assert definition_of_run({"extract": extract}, NAME) == {"extract": {"source": f"loom-records://{NAME}"}}


OWNER = "kept_" + "a" * 32
LOAD = {"destination": "out.csv", "mode": "append", "options": {"x": 1}, "include": ["a"]}


def test_it_keeps_its_rows_in_place_of_the_destination_and_the_rest_holds():
    definition = {**DEFINITION, "load": {**LOAD, "on_failure": "fallback", "fallback": "rest.csv"}}
    kept = {"include": ["a"], "destination": f"loom-rows://{OWNER}"}
    assert keeping_rows(definition, OWNER) == {**DEFINITION, "load": kept}
    assert keeping_rows({**DEFINITION, "load": {**LOAD, "on_failure": "skip"}}, OWNER)["load"]["on_failure"] == "skip"
    assert keeping_rows(definition, None) == definition


@pytest.mark.parametrize("owner", ["", "run_0123456789ab", OWNER + "0", "../" + OWNER])
def test_another_owner_of_rows_is_refused(owner):
    with pytest.raises(InvalidDefinition, match="kept_"):
        keeping_rows(DEFINITION, owner)


@pytest.mark.parametrize("owner", [None, OWNER])
def test_a_pipeline_that_names_rows_of_a_run_is_refused(owner):
    with pytest.raises(InvalidDefinition, match="a destination that stays"):
        keeping_rows({**DEFINITION, "load": {"destination": f"loom-rows://{OWNER}"}}, owner)
