"""Starts the services of Airflow, asks its API, and reads its metadata database."""

import json
import os
import secrets
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import httpx

BIN = Path(sys.executable).parent
SECONDS = float(os.environ.get("LOOM_AIRFLOW_SECONDS", "300"))
"""Says how long one thing that is waited for may take."""


def asked(port: int, method: str, path: str, token: str | None = None, body: Any = None) -> dict[str, Any]:
    """Return what Airflow's API answers."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    answer = httpx.request(method, f"http://127.0.0.1:{port}{path}", headers=headers, json=body, timeout=30)
    assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
    return dict(answer.json())


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
