"""Makes a Prefect flow of a Loom pipeline: docs/orchestrators.md. `make prefect` runs it."""

from __future__ import annotations

import os
from typing import Any

from prefect import flow, get_run_logger, task

from loom import SyncLoom

CONFIG = os.environ.get("LOOM_CONFIG")  # the project's loom.yaml; None is the one of the working directory
UNFINISHED = ("interrupted", "paused")


@task(retries=2, retry_delay_seconds=60)
def run_pipeline(file: str) -> dict[str, Any]:
    """Run the pipeline, or go on with its newest run where that was killed: nothing is paid for twice. Raises where it
    did not succeed."""
    project = SyncLoom(CONFIG)
    pipeline = project.load_pipeline(file)
    newest = next(iter(project.history(pipeline.name, 1)), None)
    if newest is not None and newest.status in UNFINISHED:
        get_run_logger().info("going on with %s", newest.run_id)
        report = project.resume(newest.run_id)
    else:
        report = project.run(pipeline).report
    if report.status != "succeeded":
        raise RuntimeError(f"{report.run_id} {report.status}: {report.error}")
    return {"run_id": report.run_id, "records": dict(report.records), "cost_usd": report.cost["total"]}


@flow
def score_reviews(file: str = "pipeline.yaml") -> dict[str, Any]:
    """Run the pipeline, and return its counts and its cost."""
    return run_pipeline(file)


if __name__ == "__main__":
    score_reviews()  # or, every day: score_reviews.serve(name="daily", cron="0 6 * * *")
