"""Tests what a report says of the destination of a run that put no row there."""

import pytest

from loom_common.domain.run.tally import Tally
from loom_coordinator.lifecycle import run_report
from support.run_rows import a_run

PLACED = {"first": True, "second": True}
LEFT = {"first": False, "second": True}
SECOND = Tally(extracted=2, loaded=2, second=2)


@pytest.mark.parametrize(
    ("columns", "tally", "unchanged"),
    [
        pytest.param({"status": "running", "placed": None}, Tally(), False, id="it has not ended"),
        pytest.param({"status": "failed", "placed": None}, Tally(), True, id="it failed before it loaded"),
        pytest.param({"status": "cancelled", "placed": None}, Tally(), True, id="it was cancelled before it loaded"),
        pytest.param({"status": "failed", "placed": None}, Tally(extracted=3, loaded=3), False, id="it loaded some"),
        pytest.param({"status": "partial", "placed": LEFT}, Tally(), True, id="its source was empty"),
        pytest.param({"status": "partial", "placed": LEFT}, SECOND, True, id="all went to the second destination"),
        pytest.param({"status": "succeeded", "placed": PLACED}, Tally(), False, id="an empty result replaced it"),
        pytest.param({"status": "succeeded", "placed": PLACED, "mode": "append"}, Tally(), True, id="it adds nothing"),
        pytest.param(
            {"status": "succeeded", "placed": PLACED, "mode": "upsert"}, Tally(), True, id="it updates nothing"
        ),
        pytest.param(
            {"status": "succeeded", "placed": PLACED, "replay_of": "run_0"}, Tally(), True, id="a replay adds nothing"
        ),
    ],
)
def test_a_run_that_put_no_row_in_its_destination_says_whether_that_is_unchanged(columns, tally, unchanged):
    columns = dict(columns)
    definition = {"load": {"destination": "out.csv", "mode": columns.pop("mode", None)}}
    assert run_report.build(a_run(definition=definition, **columns), tally, {}).unchanged is unchanged
