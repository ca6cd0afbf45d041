"""Rows of `pipeline_runs` and `Run` values for tests that need no run of a pipeline."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

from loom_coordinator.db import run_rows
from loom_coordinator.db.run import Run

NOW = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)


def run_columns(**changed: Any) -> dict[str, Any]:
    """The columns that the row of a run that has just begun must have; `changed` are set besides."""
    return {
        "run_id": "run_1",
        "pipeline_name": "p",
        "pipeline_version": "1",
        "execution_date": NOW,
        "started_at": NOW,
        "status": run_rows.RUNNING,
        "plan": "plan",
        "definition": {},
        "params": {},
        "destination": "out.csv",
        "epoch": 1,
        "priority": 5,
        "slice_batches": 2,
        "credit_window": 4,
        "finalizing": False,
        **changed,
    }


def a_run(**changed: Any) -> Run:
    """A run that has just begun, with the fields in `changed` set otherwise."""
    counts = dict.fromkeys(("records_processed", "records_validated", "records_rejected"), 0)
    nothing = dict.fromkeys(field.name for field in dataclasses.fields(Run))
    return Run(**{**nothing, **counts, **run_columns(**changed)})
