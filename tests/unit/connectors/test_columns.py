"""Tests columns of a table that is not there yet, and of rows that do not fit one."""

from __future__ import annotations

import json

import pytest

from loom_common.domain.values.destination_names import staging_table as staging_name
from loom_connectors.ports.destination import FailedRow, LoadResult, Row
from loom_connectors.sql.columns import Kind, columns_of, kind_of, kinds, lacking, unknown_everywhere
from loom_connectors.sql.row_outcomes import failed_as_json, result_of, sorted_out, stored_result


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        ({"type": "string"}, Kind.TEXT),
        ({"type": "integer"}, Kind.INTEGER),
        ({"type": ["number", "null"]}, Kind.NUMBER),
        ({"type": ["number", "integer"]}, Kind.NUMBER),
        ({"type": ["string", "integer"]}, Kind.TEXT),
        ({"type": "boolean"}, Kind.BOOLEAN),
        ({"type": "object"}, Kind.JSON),
        ({"type": "array"}, Kind.JSON),
        ({"enum": ["a", "b"]}, Kind.TEXT),
        ({}, Kind.TEXT),
    ],
)
def test_a_declared_type_becomes_a_kind(schema, kind):
    assert kind_of(schema) is kind


def test_a_new_table_has_what_rows_bring_and_what_is_declared():
    schema = {"properties": {"score": {"type": "number"}, "why": {"type": "string"}}}
    assert kinds(schema, ["id", "score"]) == {"id": Kind.TEXT, "score": Kind.NUMBER, "why": Kind.TEXT}
    assert kinds(None, ["id"]) == {"id": Kind.TEXT}


@pytest.mark.parametrize(
    ("records", "names"),
    [
        ([{"b": 1}, {"a": 1, "b": 2}], ["b", "a"]),
        ([{"b": 1, "a": 1}, {"a": 1}, {"a": 2, "b": 2}], ["b", "a"]),
        ([{"b": 1, "a": 1}, {"c": 1, "a": 2}], ["b", "a", "c"]),
        ([{}, {"a": 1}], ["a"]),
        ([{}], []),
        ([], []),
    ],
)
def test_columns_stand_in_the_order_they_are_first_seen(records, names):
    assert columns_of([Row("r", values) for values in records]) == names


def test_only_a_column_that_every_row_has_is_trouble_of_the_table():
    rows = [Row("1", {"a": 1, "x": 1}), Row("2", {"a": 2, "x": 2, "y": 3})]
    assert unknown_everywhere(rows, ["a"]) == ["x"]
    assert unknown_everywhere(rows, ["a", "x", "y"]) == []
    assert unknown_everywhere([], ["a"]) == []


def test_rows_that_no_table_could_take_are_sorted_out():
    rows = [Row("1", {"a": 1}), Row("2", {"a": None}), Row("3", {"a": 3, "b": 1}), Row("4", {})]
    fit, failed = sorted_out(rows, columns_of(rows), ["a"], ["a"])
    assert [row.record_id for row in fit] == ["1"]
    assert [(row.record_id, row.code) for row in failed] == [
        ("2", "missing_key"),
        ("3", "missing_column"),
        ("4", "missing_key"),
    ]
    assert [row.code for row in sorted_out(rows[3:], columns_of(rows[3:]), ["a"], [])[1]] == ["empty"]


def test_failed_rows_stand_in_the_order_of_the_batch():
    rows = [Row("1", {}), Row("2", {}), Row("3", {})]
    first, third = FailedRow("1", "type", "a"), FailedRow("3", "type", "b")
    assert result_of(rows, [third, first]) == LoadResult(1, (first, third))


@pytest.mark.parametrize("table", ["t", "a" * 80, "ü" * 60])
@pytest.mark.parametrize("run", ["run_0123456789ab", "r" * 100])
def test_a_staging_table_has_a_name_postgres_keeps(table, run):
    name = staging_name(table, run)
    assert "__loom_" in name
    assert len(name.encode()) <= 63
    assert name != staging_name(table, f"{run}x")


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, None, 2], Kind.INTEGER),
        ([1 / 3], Kind.NUMBER),
        ([1, 0.5], Kind.NUMBER),
        ([2**53 + 1, 0.5], Kind.ANY),
        ([2**63], Kind.BIG_INTEGER),
        ([2**63, 1], Kind.BIG_INTEGER),
        ([2**63, 0.5], Kind.ANY),
        ([True, False], Kind.BOOLEAN),
        ([True, 1], Kind.ANY),
        (["a"], Kind.TEXT),
        (["1", 1], Kind.ANY),
        ([{"a": 1}, [1]], Kind.JSON),
        ([{"a": 1}, "a"], Kind.ANY),
        ([{"$bytes": "00ff"}], Kind.BYTES),
        ([{"$bytes": "0"}], Kind.JSON),
        ([None], Kind.TEXT),
        ([], Kind.TEXT),
    ],
)
def test_a_column_without_a_declared_type_gets_the_kind_that_holds_its_values_exactly(values, kind):
    rows = [Row(str(at), {"c": value}) for at, value in enumerate(values)]
    assert kinds(None, ["c"], rows) == {"c": kind}
    assert kinds({"properties": {"c": {}}}, ["c"], rows) == {"c": kind}
    assert kinds({"properties": {"c": {"type": "string"}}}, ["c"], rows) == {"c": Kind.TEXT}


def test_a_name_that_no_database_takes_is_no_column():
    assert kinds(None, ["a\0b", "\ud800", "", "ok"]) == {"ok": Kind.TEXT}
    assert "cannot be a column" in str(lacking(["a\0b"], "t", ["ok"]))


@pytest.mark.parametrize("odd", ["a\0b", "\ud800", '"\\u0000', "plain", "🧵"])
def test_the_load_ledger_keeps_any_failed_row(odd):
    failed = (FailedRow(odd, "type", odd),)
    kept = failed_as_json(failed)
    assert "\\u0000" not in kept.replace("\\\\u0000", "")
    for read in (kept, json.loads(kept)):
        assert stored_result(3, read) == LoadResult(3, failed)
