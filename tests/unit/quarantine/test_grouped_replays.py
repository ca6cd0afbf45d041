"""Tests which records of a pipeline with groups are run again: those that no step groups any more."""

from __future__ import annotations

from loom_common.contracts.v1 import Derived
from loom_common.domain.definition.reader import parse
from loom_quarantine.replays.checks import checked
from loom_quarantine.replays.claims import KeptInput

GROUP = {"type": "group", "by": "kind", "fields": {"many": "count"}}
PIPELINE = parse(
    {
        "name": "grouped",
        "extract": {"source": "in.csv"},
        "transform": {"steps": [{**GROUP, "name": "first"}, {**GROUP, "name": "last", "needs": ["first"]}]},
        "load": {"destination": "out.csv"},
    }
)


def again(step=None, stage="transform", reason="no", details=None):
    derived = None if step is None else Derived("r0", step, ("kind",), members=2).as_json()
    kept = KeptInput(1, "it", {"kind": "a"}, stage, reason, "failed", details, derived=derived)
    return checked(kept, {}, PIPELINE)


def test_a_record_of_the_last_group_is_run_again_and_knows_of_how_many_it_was_made():
    made = again("last", stage="evaluate")
    assert (made.error, made.derived) == (None, Derived("r0", "last", ("kind",), members=2))


def test_a_record_that_a_step_would_group_is_kept_back_again_with_the_reason_and_what_to_do():
    for made, group in ((again(), "first"), (again("first"), "last"), (again("last", stage="extract"), "last")):
        assert made.error.code == "grouped"
        assert str(made.error).startswith(f"no ({group} makes one record of all records of a group")
        assert "run the pipeline again" in str(made.error)
    twice = again(reason=str(made.error), details=made.error.details)
    assert str(twice.error).count("run the pipeline again") == 1
