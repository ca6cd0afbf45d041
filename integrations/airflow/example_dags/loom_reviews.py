"""Runs the pipeline `reviews` every day over Loom's API, by the connection `loom_default`. The triggerer follows it."""

import pendulum
from airflow.sdk import DAG, task

from loom_airflow import LoomPipelineOperator

with DAG(
    dag_id="loom_reviews",
    schedule="@daily",
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    default_args={"retries": 2, "retry_delay": pendulum.duration(minutes=1)},
):
    reviews = LoomPipelineOperator(
        task_id="reviews",
        pipeline_name="reviews",
        params={"day": "{{ ds }}"},
        deferrable=True,
    )

    @task
    def told(run: dict) -> str:
        """Say what the run came to."""
        return f"{run['run_id']}: {run['records_validated']} of {run['records_processed']}, ${run['cost_total']:.2f}"

    told(reviews.output)
