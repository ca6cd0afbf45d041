"""Tests runs of Airflow's tasks in the worker itself."""

import builtins

import pytest

from loom_airflow.projects import LoomProject, NoLoom
from support.projects import project


def test_a_task_that_is_tried_again_finds_its_run(tmp_path):
    project(tmp_path, 20, extract={"batch_size": 5})
    (tmp_path / "loom.yaml").touch()
    made = LoomProject(str(tmp_path))
    assert made.newest("reviews", None) is None
    report = made.run("reviews", {"params": {}, "sample": 10}, "airflow-1")
    assert (report["status"], report["records"]["extracted"], report["sample"]) == ("succeeded", 10, 10)
    assert LoomProject(str(tmp_path / "loom.yaml")).run("reviews", {}, "airflow-1")["run_id"] == report["run_id"]
    assert made.newest("reviews", report["started_at"]) == {"run_id": report["run_id"], "status": "succeeded"}
    assert made.newest("reviews", "2999-01-01T00:00:00+00:00") is None
    with pytest.raises(LookupError, match="run_nowhere is not known"):
        made.report("run_nowhere")


def test_a_worker_without_loom_says_what_to_install(tmp_path, monkeypatch):
    imported = builtins.__import__

    def without(name, *rest):
        if name == "loom":
            raise ImportError(name)
        return imported(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(NoLoom, match=r"loom-pipelines-airflow\[embedded\]"):
        LoomProject(str(tmp_path))
