"""Tests what is inferred of records, how schemas differ, and what contracts make of records that do not fit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loom_common.domain.definition.reader import parse
from loom_common.domain.schema.columns import Column, joined, merged, takes
from loom_common.domain.schema.contract import SchemaConfig, shaped
from loom_common.domain.schema.drift import drift, evolved
from loom_common.domain.schema.inference import column_of, inferred, profiled
from loom_common.errors import PermanentError

VALUES = st.one_of(
    st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=5), st.just([]), st.just({}),
    st.sampled_from(["1", "1.5", "true", "2024-01-01", "2024-01-01T10:00:00Z", "a@x.de", "", None]),
)  # fmt: skip
RECORDS = st.lists(st.dictionaries(st.sampled_from(["a", "b", "c"]), VALUES), min_size=1, max_size=6)


def column(kind, form=None, *, nullable=False):
    return Column(type=kind, format=form, nullable=nullable)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, column("boolean")),
        (1, column("integer")),
        (1.5, column("number")),
        ("12", column("string", "integer")),
        ("1e3", column("string", "number")),
        ("TRUE", column("string", "boolean")),
        ("2024-02-29", column("string", "date")),
        ("2024-02-29T00:00:00Z", column("string", "datetime")),
        ("a@x.de", column("string", "email")),
        ("https://x.de/a", column("string", "url")),
        ("plain", column("string")),
        ([1], column("array")),
        ({}, column("object")),
    ],
)
def test_a_value_is_of_the_narrowest_column_that_takes_it(value, expected):
    assert column_of(value) == expected


@given(RECORDS, RECORDS, RECORDS)
def test_parts_may_be_joined_in_any_order_and_twice(one, other, third):
    a, b, c = inferred(one), inferred(other), inferred(third)
    assert merged(a, b) == merged(b, a)
    assert merged(a, merged(b, c)) == merged(merged(a, b), c)
    assert merged(merged(a, b), b) == merged(a, b)


@given(RECORDS)
def test_every_record_fits_what_was_inferred_of_it(records):
    held = shaped(records, SchemaConfig(columns="freeze", types="freeze"), inferred(records), "extract")
    assert (list(held.values), dict(held.errors)) == (records, {})
    assert drift(inferred(records), inferred(records)) == []


def test_a_column_that_some_records_lack_may_be_null():
    assert inferred([{"a": 1, "b": ""}, {"a": 2.5}]) == {
        "a": column("number"),
        "b": column("string", nullable=True),
    }


def test_a_profile_shows_examples_and_candidate_keys():
    found = profiled([{"id": n, "same": "x"} for n in range(5)])
    assert (found["id"].candidate_key, found["same"].candidate_key) == (True, False)
    assert found["id"].examples == ("0", "1", "2")


@pytest.mark.parametrize(
    ("stored", "found", "changes"),
    [
        ({"a": column("integer")}, {"a": column("integer")}, []),
        ({}, {"a": column("integer")}, [("added", "a")]),
        ({"a": column("integer")}, {}, [("removed", "a")]),
        ({"a": column("integer")}, {"a": column("number")}, [("widened", "a")]),
        ({"a": column("number")}, {"a": column("integer")}, [("narrowed", "a")]),
        ({"a": column("string", "integer")}, {"a": column("string")}, [("widened", "a")]),
        ({"a": column("string", "date")}, {"a": column("string", "datetime")}, [("widened", "a")]),
        ({"a": column("integer")}, {"a": column("string")}, [("changed", "a")]),
        ({"a": column("integer")}, {"a": column("integer", nullable=True)}, [("nullable", "a")]),
        ({"a": column("integer")}, {"a": column("number", nullable=True)}, [("widened", "a"), ("nullable", "a")]),
        ({"mail": column("string", "email")}, {"email": column("string", "email")}, [("renamed", "mail")]),
        ({"a": column("array")}, {"z": column("array")}, [("renamed", "a")]),
        ({"a": column("array"), "b": column("array")}, {"z": column("array")}, ["removed", "removed", "added"]),
    ],
)
def test_every_change_is_told(stored, found, changes):
    told = [(each.change, each.column) for each in drift(stored, found)]
    assert told == changes or [kind for kind, _ in told] == changes


@given(RECORDS, RECORDS)
def test_the_next_version_takes_what_the_last_one_took(one, other):
    before, found = inferred(one), inferred(other)
    after = evolved(before, found)
    assert all(takes(after[name], column) for name, column in (*before.items(), *found.items()))
    assert {each.change for each in drift(after, found)} <= {"removed", "narrowed", "renamed"}


STORED = {"id": column("integer"), "age": column("integer")}
NEW, OLD = {"id": 1, "age": 2, "extra": 3}, {"id": 2, "age": "old"}


@pytest.mark.parametrize(
    ("contract", "values", "kept_back"),
    [
        ({}, [NEW, OLD], []),
        ({"columns": "discard_value"}, [{"id": 1, "age": 2}, OLD], []),
        ({"types": "discard_value"}, [NEW, {"id": 2, "age": None}], []),
        ({"columns": "discard_row"}, [NEW, OLD], [0]),
        ({"types": "discard_row"}, [NEW, OLD], [1]),
    ],
)
def test_a_contract_decides_what_becomes_of_a_record_that_does_not_fit(contract, values, kept_back):
    held = shaped([NEW, OLD], SchemaConfig(**contract), STORED, "extract")
    assert (list(held.values), list(held.errors)) == (values, kept_back)


def test_what_is_kept_back_names_the_contract_and_the_field():
    held = shaped([OLD], SchemaConfig(types="discard_row"), STORED, "load")
    error = held.errors[0]
    assert error.code == "schema_contract"
    assert error.details | {"reason": ""} == {
        "contract": "load.schema", "field": "age", "value": "'old'", "reason": "",
    }  # fmt: skip
    assert held.columns is None


@pytest.mark.parametrize("part", ["columns", "types"])
def test_a_frozen_part_fails_the_run(part):
    with pytest.raises(PermanentError, match="freezes it"):
        shaped([NEW, OLD], SchemaConfig(**{part: "freeze"}), STORED, "extract")


def test_without_a_stored_version_everything_passes_and_is_looked_at():
    held = shaped([NEW], SchemaConfig(columns="freeze"), None, "extract")
    assert (list(held.values), held.errors) == ([NEW], {})
    assert held.columns == inferred([NEW])


@pytest.mark.parametrize(
    ("short", "parts"),
    [
        ("manual", ("evolve", "freeze", "freeze", True)),
        ("auto", ("evolve", "evolve", "evolve", True)),
        ("warn", ("evolve", "evolve", "evolve", False)),
        ("freeze", ("freeze", "freeze", "freeze", True)),
        ("discard_row", ("evolve", "discard_row", "discard_row", True)),
        ({"columns": "freeze"}, ("evolve", "freeze", "evolve", True)),
    ],
)
def test_short_forms(short, parts):
    definition = {
        "name": "p",
        "extract": {"source": "x.csv", "schema": short},
        "transform": {"type": "passthrough"},
        "load": {"destination": "y.csv"},
    }
    read = parse(definition).extract.schema_
    assert [read.tables, read.columns, read.types, read.store] == [*parts]


def test_any_takes_everything():
    assert joined(column("array"), column("integer")).type == "any"
    assert takes(column("any"), column("array"))
