"""Tests what rows are made with."""

import pytest

from loom_common.contracts.records import EncodedRecords, UnchangedRecords, encoded
from loom_common.contracts.v1 import EvaluatedRecord, ExtractedRecord
from loom_common.domain.checks.record_checks import carried_from_input
from loom_common.domain.definition.reader import parse
from loom_common.domain.run.plan import Plan, contract_of
from loom_common.domain.schema import output
from loom_common.flow import Stage
from loom_connectors.ports.deferred_rows import read_once
from loom_loader.rows import rows_of

PIPELINE = {
    "name": "labels",
    "extract": {"source": "in.csv", "key": "id"},
    "transform": {
        "type": "ai",
        "model": "m",
        "prompt": "p",
        "schema": {"types": "freeze"},
        "output": {"label": {"enum": ["a", "b"]}, "age": {"type": "integer", "minimum": 0}},
    },
    "load": {"destination": "out.jsonl", "include": ["text"]},
}


def test_the_declared_shape_is_checked_once_for_all_batches_and_is_no_part_of_the_plans_name(monkeypatch):
    plan = Plan(pipeline=parse(PIPELINE))
    name = plan.hash
    checked = []
    check = output._schema_mistakes
    monkeypatch.setattr(output, "_schema_mistakes", lambda *given: checked.append(given) or check(*given))
    record = EvaluatedRecord(id="1", input={"id": "1", "text": "t"}, output={"label": "a", "age": 3.0})
    for _batch in range(3):
        [row], failed = rows_of([record], plan.pipeline)
        assert (row.values, failed) == ({"id": "1", "text": "t", "label": "a", "age": 3}, [])
        assert carried_from_input(plan.pipeline) == ("text",)
        assert contract_of(plan, Stage.TRANSFORM) is not None
    assert len(checked) == 2  # for each field once
    assert plan.hash == name


@pytest.mark.parametrize("key", [None, "id"])
def test_rows_of_records_that_are_passed_on_are_made_of_what_entered_the_run(key):
    entered = [ExtractedRecord(str(at), {"id": str(at), "n": at}) for at in range(3)]
    source = {"source": "in.csv", **({"key": key} if key else {})}
    pipeline = parse(
        {**PIPELINE, "extract": source, "transform": {"type": "passthrough"}, "load": {"destination": "o.csv"}}
    )
    passed = UnchangedRecords(EvaluatedRecord, entered, lambda _: pytest.fail("it is made"))
    rows, failed = rows_of(passed, pipeline)
    assert (rows, failed) == rows_of([EvaluatedRecord(each.id, each.input, None) for each in entered], pipeline)
    assert all(row.values is each.input for row, each in zip(rows, entered, strict=True))


def passed_on(record, **load):
    """Return the row of a record with the key `id` that is passed on."""
    transform, load = {"type": "passthrough"}, {"destination": "out.csv", **load}
    pipeline = parse({**PIPELINE, "transform": transform, "load": load})
    [row], failed = rows_of([EvaluatedRecord("1", record, None)], pipeline)
    assert failed == []
    return row.values


def test_the_row_of_a_record_that_begins_with_its_key_is_the_record_itself():
    record = {"id": "1", "text": "t"}
    assert passed_on(record) is record


def test_a_row_begins_with_the_key_and_the_included_fields_wherever_the_record_has_them():
    assert list(passed_on({"text": "t", "id": "1"}).items()) == [("id", "1"), ("text", "t")]
    assert list(passed_on({"n": 1, "id": "1", "text": "t"}, include=["text"])) == ["id", "text", "n"]
    assert list(passed_on({"id": "1", "n": 1, "text": "t"}, include=["text", "id"])) == ["id", "text", "n"]


def test_a_record_that_lacks_its_key_gets_a_row_without_a_value_for_it():
    assert passed_on({"text": "t"}) == {"id": None, "text": "t"}


def encoded_records(*records):
    return EncodedRecords(EvaluatedRecord, encoded(records, EvaluatedRecord))


@pytest.mark.parametrize(
    "load", [{}, {"include": ["text"]}], ids=["rows are made when they are read", "rows must have a field"]
)
def test_rows_of_encoded_records_are_those_of_records(load):
    pipeline = parse({**PIPELINE, "load": {"destination": "out.csv", **load}})
    given = [{"text": "t", "id": "1"}, {"id": "2"}, {"id": "3", "text": None}]
    records = [EvaluatedRecord(each["id"], each, {"label": "a", "age": 3.0}) for each in given]
    rows, failed = rows_of(encoded_records(*records), pipeline)
    expected, expected_failed = rows_of(records, pipeline)
    assert list(read_once(rows)) == list(rows) == list(expected)
    assert (len(rows), rows[0], rows[1:]) == (len(expected), expected[0], expected[1:])
    assert (failed, [row.record_id for row in failed]) == (expected_failed, ["2"] if load else [])


def test_rows_are_kept_from_when_they_are_read_unless_they_are_read_once():
    pipeline = parse({**PIPELINE, "transform": {"type": "passthrough"}, "load": {"destination": "out.csv"}})
    rows, _ = rows_of(encoded_records(EvaluatedRecord("1", {"id": "1"}, None)), pipeline)
    assert read_once(rows)[0] is not read_once(rows)[0]
    assert rows[0] is rows[0] is next(iter(rows)) is read_once(rows)[0]
