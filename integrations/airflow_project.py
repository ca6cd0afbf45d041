"""Writes the project that the provider for Airflow is tried on, with its DAGs, and tells what became of its runs."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

LOOM = os.environ.get("LOOM_COMMAND", str(Path(sys.executable).parent / "loom"))
"""Is the command of Loom, which has its API; the environment of Airflow has its own versions of what the API needs."""

PIPELINE = """
name: {name}
version: 1.2.0
params: {{day: {{type: date, default: 2026-01-01}}}}
extract: {{source: reviews.csv, key: id, batch_size: 5}}
transform: {{type: python, function: "scoring:{name}"}}
evaluate: {{batch_threshold: 0.5, evaluators: [{{name: fit, type: range, field: score, min: 1, threshold: 1}}]}}
load: {{destination: {name}.csv}}
"""
CODE = """
import pathlib, time

def _called(name, record, score, pause=0.0):
    log = pathlib.Path(__file__).with_name(f"{name}.log")
    log.open("a").write(record["id"] + "\\n")
    time.sleep(pause)
    return {"score": score}

def good(record):
    return _called("good", record, 1, 0.2)

def bad(record):
    return _called("bad", record, 0)

def slow(record):
    return _called("slow", record, 1, 3)

def embedded(record):
    return _called("embedded", record, 1, 3)

def ended(record):
    return _called("ended", record, 1, 10)

def deferred(record):
    return _called("deferred", record, 1, 10)
"""
DAGS = """
import os, pathlib
import pendulum
from airflow.sdk import DAG, task
from loom_airflow import LoomPipelineOperator, LoomRunSensor

PROJECT = pathlib.Path(os.environ["LOOM_TRIED"])
ONCE = {{
    "schedule": "@once", "start_date": pendulum.datetime(2026, 2, 3, tz="UTC"), "catchup": False,
    "default_args": {{"retries": 2, "retry_delay": pendulum.duration(seconds=1)}},
}}

def worker(context):
    ti = context["ti"]
    (PROJECT / f"worker-{{ti.dag_id}}-{{ti.try_number}}").write_text(f"{{os.getpid()}} {{os.getppid()}}")

with DAG("good", **ONCE):
    run = LoomPipelineOperator(
        task_id="run", pipeline_name="good", pipeline_version="1.2.0", params={{"day": "{{{{ ds }}}}"}},
        deferrable=True, poll_interval=5,
    )
    waited = LoomRunSensor(task_id="waited", run_id="{{{{ ti.xcom_pull(task_ids='run')['run_id'] }}}}", deferrable=True)

    @task
    def told(run):
        return f"{{run['records_validated']}} of {{run['records_processed']}}, ${{run['cost_total']:.2f}}"

    run >> waited >> told(run.output)

with DAG("bad", **ONCE):
    LoomPipelineOperator(task_id="run", pipeline_name="bad", poll_interval=1)

with DAG("slow", **ONCE):
    LoomPipelineOperator(task_id="run", pipeline_name="slow", poll_interval=1, pre_execute=worker)

with DAG("ended", is_paused_upon_creation=True, **ONCE):
    LoomPipelineOperator(task_id="run", pipeline_name="ended", poll_interval=1)

with DAG("deferred", is_paused_upon_creation=True, **ONCE):
    LoomPipelineOperator(task_id="run", pipeline_name="deferred", poll_interval=1, deferrable=True)

with DAG("embedded", **ONCE):
    LoomPipelineOperator(
        task_id="run", pipeline_name="embedded", loom_config_path=str(PROJECT / "apart"), pre_execute=worker
    )
"""


def written(project: Path, *pipelines: str) -> Path:
    """Write a project with these pipelines, and return its folder."""
    (project / "pipelines").mkdir(parents=True)
    (project / "loom.yaml").touch()
    (project / "pipelines" / "scoring.py").write_text(CODE)
    rows = "".join(f"r{number},text\n" for number in range(40))
    (project / "pipelines" / "reviews.csv").write_text(f"id,review\n{rows}")
    for name in pipelines:
        (project / "pipelines" / f"{name}.yaml").write_text(PIPELINE.format(name=name))
    return project


def calls(where: Path, name: str) -> int:
    """Return how often the code of a pipeline was called."""
    log = where / "pipelines" / f"{name}.log"
    return len(log.read_text().split()) if log.exists() else 0


def runs_of(project: Path, pipeline: str) -> list[dict[str, Any]]:
    """Return the runs of a pipeline."""
    found = json.loads(said(project, "history", pipeline, "--format", "json"))
    return list(found["runs"] if isinstance(found, dict) else found)


def said(project: Path, *words: str) -> str:
    """Return what a command of Loom prints."""
    done = subprocess.run([LOOM, *words], cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
