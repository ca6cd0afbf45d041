"""Tries the provider for Airflow on a real one: its API server, scheduler, DAG processor and triggerer, on loopback.

`python integrations/try_airflow.py` runs in the environment that `make airflow` makes. Loom's API is `loom serve`, with
access control. What is tried stands in docs/orchestrators.md."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from airflow_project import DAGS, LOOM, calls, runs_of, said, written
from airflow_services import BIN, Metadata, asked, environment, free_port, listens, start, wait

HERE = Path(__file__).parent
KEPT = os.environ.get("LOOM_AIRFLOW_KEPT")
"""Names a folder in which all of it is kept, to look at the logs."""


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


def ended_from_outside(name: str, airflow: Metadata, project: Path, port: int) -> None:
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


def killed(name: str, project: Path, where: Path) -> None:
    """Kill the worker that runs a task, with the process that watches over it, amid the run."""
    note = project / f"worker-{name}-1"
    wait(lambda: note.exists() and calls(where, name) >= 10, f"the run of {name}: {calls(where, name)} calls")
    task, supervisor = map(int, note.read_text().split())
    for process in (supervisor, task):
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def say(what: str) -> None:
    """Print how far the trial has come."""
    print(f"- {what}", flush=True)


if __name__ == "__main__":
    main()
