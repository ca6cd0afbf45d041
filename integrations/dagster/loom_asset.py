"""Makes a Dagster asset of a Loom pipeline: docs/orchestrators.md. `make dagster` materializes it."""

import os

import dagster as dg

from loom import SyncLoom

CONFIG = os.environ.get("LOOM_CONFIG")  # the project's loom.yaml; None is the one of the working directory
PIPELINE = os.environ.get("LOOM_PIPELINE", "pipeline.yaml")
UNFINISHED = ("interrupted", "paused")


@dg.asset(description="The reviews that passed their quality gate.")
def scored_reviews(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """Run the pipeline, or go on with its newest run where that was killed: nothing is paid for twice."""
    project = SyncLoom(CONFIG)
    pipeline = project.load_pipeline(PIPELINE)
    newest = next(iter(project.history(pipeline.name, 1)), None)
    if newest is not None and newest.status in UNFINISHED:
        context.log.info("going on with %s", newest.run_id)
        report = project.resume(newest.run_id)
    else:
        report = project.run(pipeline).report
    metadata = {
        "run_id": report.run_id,
        "status": report.status,
        "cost_usd": report.cost["total"],
        "dagster/row_count": report.records["loaded"],
        **{f"records_{end}": report.records[end] for end in ("extracted", "rejected", "quarantined")},
        **{f"score_{name}": each.mean for name, each in report.evaluation.items()},
    }
    if report.status != "succeeded":
        raise dg.Failure(f"{report.status}: {report.error or 'see loom status ' + report.run_id}", metadata=metadata)
    return dg.MaterializeResult(metadata=metadata)


defs = dg.Definitions(
    assets=[scored_reviews],
    schedules=[dg.ScheduleDefinition(name="daily", target=scored_reviews, cron_schedule="0 6 * * *")],
)
