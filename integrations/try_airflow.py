"""Tries the provider for Airflow on a real one: its API server, scheduler, DAG processor and triggerer, on loopback.

`python integrations/try_airflow.py` runs in the environment that `make airflow` makes. Loom's API is `loom serve`, with
access control. What is tried stands in docs/orchestrators.md."""

import json
import os
import secrets
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

HERE = Path(__file__).parent
BIN = Path(sys.executable).parent
LOOM = os.environ.get("LOOM_COMMAND", str(BIN / "loom"))
"""Is the command of Loom, which has its API; the environment of Airflow has its own versions of what the API needs."""
SECONDS = float(os.environ.get("LOOM_AIRFLOW_SECONDS", "300"))
"""Says how long one thing that is waited for may take."""
KEPT = os.environ.get("LOOM_AIRFLOW_KEPT")
"""Names a folder in which all of it is kept, to look at the logs."""

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


def main() -> None:
    """Try it. Raises `AssertionError` where something else happens than is promised."""
    with ExitStack() as stack:
        folder = Path(KEPT or tempfile.mkdtemp(prefix="loom-airflow-"))
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        if not KEPT:
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
        project = written(folder / "project", "good", "bad", "slow", "ended", "deferred")
        apart = written(project / "apart", "embedded")
        port, api_port = free_port(), free_port()
        (project / "loom.yaml").write_text(
            'access: {policies: [{user_pattern: airflow, resource_pattern: ".*", actions: ["*"], allow: true}]}\n'
            "openlineage: {file: lineage.jsonl}\n"
        )
        token = said(project, "token", "create", "airflow", "--scope", "read", "--scope", "run", "--scope", "control")
        token = next(word for word in token.split() if word.startswith("loom_"))
        environ = environment(folder, port, api_port, token)
        start(stack, folder, "loom", [LOOM, "serve", "--port", str(api_port)], project, environ)
        subprocess.run([BIN / "airflow", "db", "migrate"], env=environ, check=True, capture_output=True)
        example = HERE / "airflow" / "example_dags" / "loom_reviews.py"
        subprocess.run([sys.executable, example], env=environ, check=True, capture_output=True)
        start(stack, folder, "api-server", [BIN / "airflow", "api-server"], folder, environ)
        for each in (port, api_port):
            wait(lambda: listens(each), f"port {each}")  # noqa: B023 - asked at once
        for service in ("triggerer --skip-serve-logs", "scheduler --skip-serve-logs", "dag-processor"):
            start(stack, folder, service.split()[0], [BIN / "airflow", *service.split()], folder, environ)
        (folder / "dags" / "loom_tried.py").write_text(DAGS.format())

        airflow = Metadata(folder / "airflow.db")
        say("the services of Airflow have started; its DAGs begin by themselves")
        killed("slow", project, project)
        killed("embedded", project, apart)
        airflow.wait("good", "success")
        [run] = runs_of(project, "good")
        left = airflow.xcom("good", "run")
        assert left == airflow.xcom("good", "waited"), left
        assert (left["run_id"], left["status"]) == (run["run_id"], "succeeded"), left
        assert (left["records_processed"], left["records_validated"], left["cost_total"]) == (40, 40, 0), left
        assert airflow.xcom("good", "told") == "40 of 40, $0.00"
        status = json.loads(said(project, "status", run["run_id"], "--format", "json"))
        assert status["params"]["day"] == "2026-02-03", "a parameter is a template"
        say(f"a DAG run to its end, deferred, over the API: {left}")

        airflow.wait("bad", "failed")
        assert airflow.tries("bad") == 1, "a gate that failed is not tried again"
        [run] = runs_of(project, "bad")
        assert run["status"] == "partial", run
        say("a failed gate: the task fails without a retry")

        airflow.wait("slow", "success")
        [run] = runs_of(project, "slow")
        assert (airflow.tries("slow"), airflow.xcom("slow", "run")["run_id"]) == (2, run["run_id"])
        assert calls(project, "slow") == 40, "a run over the API goes on while its task is tried again"
        say("a killed worker over the API: the next try has found the same run")

        airflow.wait("embedded", "success")
        [run] = runs_of(apart, "embedded")
        assert (airflow.tries("embedded"), airflow.xcom("embedded", "run")["run_id"]) == (2, run["run_id"])
        assert calls(apart, "embedded") <= 60, "only what was in flight is done again"
        say(f"a killed worker with the run in it: gone on with, {calls(apart, 'embedded')} calls for 40 records")

        for name in ("ended", "deferred"):
            ended_from_outside(name, airflow, project, port)
            say(f"a task that was ended from outside ({name}): its run is cancelled")

        known_by_lineage(project, folder)
        say("the events of lineage: the run's parent is the task of Airflow, and its root the DAG run")

        seen = [path for path in (folder / "logs").rglob("*.log") if token in path.read_text(errors="replace")]
        assert not seen, f"the token stands in {seen}"
    print("The provider for Airflow works.")


def ended_from_outside(name: str, airflow: "Metadata", project: Path, port: int) -> None:
    """Set a task to failed while it runs, as somebody does in Airflow's console, and see that its run is cancelled."""
    token = asked(port, "GET", "/auth/token")["access_token"]
    asked(port, "PATCH", f"/api/v2/dags/{name}", token, {"is_paused": False})
    wait(lambda: calls(project, name) > 0, f"the run of {name}")
    if name == "deferred":
        wait(lambda: airflow.state(name) == "deferred", f"the trigger: {airflow.state(name)}")
    [dag_run] = asked(port, "GET", f"/api/v2/dags/{name}/dagRuns", token)["dag_runs"]
    task = f"/api/v2/dags/{name}/dagRuns/{quote(dag_run['dag_run_id'])}/taskInstances/run"
    asked(port, "PATCH", task, token, {"new_state": "failed"})
    airflow.wait(name, "failed")
    wait(lambda: runs_of(project, name)[0]["status"] == "cancelled", f"the cancel: {runs_of(project, name)}")
    assert calls(project, name) < 40, "nothing is called for once the run is cancelled"


def known_by_lineage(project: Path, folder: Path) -> None:
    """See that Loom's events of a run name the task by the ids that Airflow's own events have."""

    def told() -> list[dict[str, Any]]:
        names = [folder / "airflow.jsonl", *project.glob("lineage.jsonl")]
        return [json.loads(line) for name in names if name.exists() for line in name.read_text().splitlines()]

    def told_of(namespace: str, job: str) -> list[dict[str, Any]]:
        return [each for each in told() if (each["job"]["namespace"], each["job"]["name"]) == (namespace, job)]

    def ids(job: str) -> set[str]:
        return {each["run"]["runId"] for each in told_of("air/flow", job)}

    wait(lambda: len(told_of("loom", "good")) >= 2 and ids("good.run") and ids("good"), "events of both")
    event = told_of("loom", "good")[-1]
    assert event["eventType"] == "COMPLETE", event
    parent = event["run"]["facets"]["parent"]
    assert parent["job"] == {"namespace": "air/flow", "name": "good.run"}, parent
    assert parent["root"]["job"] == {"namespace": "air/flow", "name": "good"}, parent
    assert parent["run"]["runId"] in ids("good.run"), parent
    assert parent["root"]["run"]["runId"] in ids("good"), parent


def asked(port: int, method: str, path: str, token: str | None = None, body: Any = None) -> dict[str, Any]:
    """Return what Airflow's API answers."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    answer = httpx.request(method, f"http://127.0.0.1:{port}{path}", headers=headers, json=body, timeout=30)
    assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
    return dict(answer.json())


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


def environment(folder: Path, port: int, api_port: int, token: str) -> dict[str, str]:
    """Return the environment of Airflow: all of it in `folder`, and nothing of the user's own."""
    (folder / "dags").mkdir()
    project = folder / "project"
    own = {
        "AIRFLOW_HOME": str(folder),
        "AIRFLOW__CORE__DAGS_FOLDER": str(folder / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "false",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__FERNET_KEY": "",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "true",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{folder}/airflow.db",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API__SECRET_KEY": secrets.token_hex(16),
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "45",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
        "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK": "false",
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_HOST": "127.0.0.1",
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__OPENLINEAGE__NAMESPACE": "air/flow",
        "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(
            {"type": "file", "log_file_path": str(folder / "airflow.jsonl"), "append": True}
        ),
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "false",
        "AIRFLOW_CONN_LOOM_DEFAULT": json.dumps(
            {"conn_type": "loom", "host": f"http://127.0.0.1:{api_port}", "password": token}
        ),
        "LOOM_TRIED": str(project),
        "PYTHONUNBUFFERED": "1",
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "LOOM_"))}
    return {**kept, **own}


def start(stack: ExitStack, folder: Path, name: str, command: list[Any], where: Path, environ: dict[str, str]) -> None:
    """Start a service in a group of its own, which ends with the stack."""
    log = stack.enter_context((folder / f"{name}.out").open("w"))
    process = subprocess.Popen(
        list(map(str, command)), cwd=where, env=environ, stdout=log, stderr=log, start_new_session=True
    )
    stack.callback(stop, process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a service and all that it has started."""
    for sign, seconds in ((signal.SIGTERM, 10), (signal.SIGKILL, 10)):
        try:
            os.killpg(process.pid, sign)
            process.wait(seconds)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue


class Metadata:
    """Reads Airflow's metadata database."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def wait(self, dag_id: str, state: str) -> None:
        """Wait until the DAG run has ended. Raises `AssertionError` where it ends otherwise."""
        wait(lambda: self._ended(dag_id), f"the end of {dag_id}: {self._tasks(dag_id)}")
        assert self._ended(dag_id) == state, f"{dag_id} is {self._ended(dag_id)}: {self._tasks(dag_id)}"

    def tries(self, dag_id: str) -> int:
        """Return how often the task `run` was tried."""
        query = "SELECT try_number FROM task_instance WHERE dag_id = ? AND task_id = 'run'"
        return int(self._asked(query, dag_id)[0][0])

    def state(self, dag_id: str) -> str | None:
        """Return the state of the task `run`."""
        rows = self._asked("SELECT state FROM task_instance WHERE dag_id = ? AND task_id = 'run'", dag_id)
        return rows[0][0] if rows else None

    def xcom(self, dag_id: str, task_id: str) -> Any:
        """Return what a task has left."""
        query = "SELECT value FROM xcom WHERE dag_id = ? AND task_id = ? AND key = 'return_value'"
        [(value,)] = self._asked(query, dag_id, task_id)
        found = json.loads(value)
        return json.loads(found) if isinstance(found, str) and found.startswith("{") else found

    def _ended(self, dag_id: str) -> str | None:
        rows = self._asked("SELECT state FROM dag_run WHERE dag_id = ?", dag_id)
        return rows[0][0] if rows and rows[0][0] in ("success", "failed") else None

    def _tasks(self, dag_id: str) -> list[Any]:
        return self._asked("SELECT task_id, state, try_number FROM task_instance WHERE dag_id = ?", dag_id)

    def _asked(self, query: str, *values: str) -> list[Any]:
        with closing(sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, timeout=30)) as database:
            return database.execute(query, values).fetchall()


def killed(name: str, project: Path, where: Path) -> None:
    """Kill the worker that runs a task, with the process that watches over it, amid the run."""
    note = project / f"worker-{name}-1"
    wait(lambda: note.exists() and calls(where, name) >= 10, f"the run of {name}: {calls(where, name)} calls")
    task, supervisor = map(int, note.read_text().split())
    for process in (supervisor, task):
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


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


def wait(condition: Callable[[], Any], what: str) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not within {SECONDS:g} s: {what}"
        time.sleep(0.3)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def listens(port: int) -> bool:
    """Tell whether somebody listens on a port."""
    with socket.socket() as asked:
        return asked.connect_ex(("127.0.0.1", port)) == 0


def say(what: str) -> None:
    """Print how far the trial has come."""
    print(f"- {what}", flush=True)


if __name__ == "__main__":
    main()
