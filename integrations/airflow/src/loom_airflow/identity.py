"""Derives by which key a task asks for its run, so that a retry finds the run and starts no other one. Pure."""

from __future__ import annotations

import hashlib
import json


def clearing_of(max_tries: int, retries: int) -> int:
    """Return a number that is the same for all retries of a task, and another one once the task was cleared: Airflow
    counts tries on, and gives a cleared task its retries anew."""
    return max(0, max_tries - retries)


def request_key(dag_id: str, dag_run_id: str, task_id: str, map_index: int, clearing: int) -> str:
    """Return the idempotency key of a task's request. Ids of Airflow may hold any character, and a key only some."""
    said = json.dumps([dag_id, dag_run_id, task_id, map_index, clearing])
    return f"airflow-{hashlib.sha256(said.encode()).hexdigest()}"
