"""Tests how a message becomes rows."""

import datetime as dt

from loom_common.contracts.v1 import Derived, KeptRecord, RecordsQuarantined
from loom_common.flow import Stage
from loom_quarantine.db.rows import rows_of

NOW = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)


def message(**record):
    kept = KeptRecord(
        **{"record_id": "1", "outcome": "quarantined", "code": "x", "reason": "r", "input": {"a": 1}, **record}
    )
    return RecordsQuarantined(run_id="run_1", pipeline="p", batch_id="b", stage=Stage.LOAD, records=(kept,))


def test_a_row_holds_all_that_is_known():
    derived = Derived("0", "lines", ("a",), {"route": "many"}, ("odd",))
    kept = message(output={"b": 2}, scores={"s": 0.5}, details={"position": "line 2"}, derived=derived)
    [row] = rows_of(kept, NOW)
    assert Derived.of_json(row["derived"]) == derived
    assert row == {
        "run_id": "run_1",
        "record_id": "1",
        "record_data": {"a": 1},
        "failure_stage": "load",
        "failure_reason": "r",
        "error_details": {"position": "line 2"},
        "evaluation_scores": {"s": 0.5},
        "quarantined_at": NOW,
        "pipeline_name": "p",
        "batch_id": "b",
        "outcome": "quarantined",
        "code": "x",
        "output": {"b": 2},
        "attempts": None,
        "derived": {"parent": "0", "step": "lines", "made": ["a"], "branches": {"route": "many"}, "off": ["odd"]},
    }


def test_what_postgres_cannot_store_is_replaced_wherever_it_stands():
    [row] = rows_of(
        message(reason="a\x00b", input={"k\x00": ["x\x00", {"y": "\x00"}]}, derived=Derived("1", "s", ("k\x00",))), NOW
    )
    assert row["derived"]["made"] == ["k\ufffd"]
    assert row["failure_reason"] == "a\ufffdb"
    assert row["record_data"] == {"k\ufffd": ["x\ufffd", {"y": "\ufffd"}]}
