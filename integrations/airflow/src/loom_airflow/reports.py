"""Decides by the report of a run whether its task has succeeded, and what it leaves in XCom. Pure.

A report is the document of `GET /api/v1/runs/{run_id}`, and of `loom status --format json`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

AT_WORK = ("queued", "running")
"""The statuses of a run that goes on by itself."""
LEFT = ("interrupted", "paused", "failed", "cancelled")
"""The statuses of a run that a retry goes on with."""

Report = Mapping[str, Any]


class RunFailed(Exception):
    """A run did not come to what its task asked for. A retry goes on with it."""


class NotToBeRetried(RunFailed):
    """A run came to an end that another try would not change."""


def result_of(report: Report, *, fail_on_quality_gate: bool) -> dict[str, Any]:
    """Return what the task leaves in XCom. Raises `RunFailed` where the run did not succeed; one that is `partial` has
    succeeded where `fail_on_quality_gate` is False."""
    status, run_id = report["status"], report["run_id"]
    if status == "succeeded" or (status == "partial" and not fail_on_quality_gate):
        return told(report)
    if status == "partial":
        raise NotToBeRetried(_partial(report))
    if status == "cancelled":
        raise NotToBeRetried(f"Run {run_id} was cancelled. Clear the task to start another run.")
    why = report.get("error") or report.get("notice") or ""
    if status == "failed":
        raise RunFailed(f"Pipeline failed: {why or 'no reason is known.'} (run {run_id})")
    raise RunFailed(f"Run {run_id} is {status}. {why}".strip() + " The next try of the task goes on with it.")


def told(report: Report) -> dict[str, Any]:
    """Return what XCom says of a run."""
    return {
        "run_id": report["run_id"],
        "status": report["status"],
        "records_processed": report["records"]["extracted"],
        "records_validated": report["records"]["passed"],
        "cost_total": report["cost"]["total"],
    }


def progress(report: Report) -> str:
    """Return a line about a run that goes on, for the log of the task."""
    records, cost = report["records"], report["cost"]["total"]
    counts = f"{records['extracted']:,} records read, {records['loaded']:,} loaded"
    return f"{report['run_id']} {report['status']}: {counts}, ${cost:.4f}"


def _partial(report: Report) -> str:
    records = report["records"]
    read = records["extracted"]
    share = f"{records['rejected'] / read:.1%} rejected" if read else "no record read"
    why = f"{report['error']} " if report.get("error") else ""
    return f"Pipeline quality gate failed: {share}. {why}(run {report['run_id']}, status partial)"
