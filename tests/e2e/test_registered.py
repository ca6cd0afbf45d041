"""Tests `loom register`, after which a pipeline runs by its name, and what the newest run stands for."""

from __future__ import annotations

import pytest

from loom.cli.commands import state
from loom.project.config import LoomConfig
from support.command import loom as loom_process
from support.projects import project, python

CODE = "def judged(record):\n    return {'stars': int(record['stars'])}\n"
STARS = {"type": "range", "name": "stars", "field": "stars", "min": 2, "max": 5, "threshold": 1.0}


def made(folder, name, destination):
    return project(
        folder, 5, name=name, transform=python(), destination=destination, evaluate={"evaluators": [STARS]}, code=CODE
    )


def test_a_registered_pipeline_runs_by_its_name_where_its_file_is_gone(loom, tmp_path):
    (tmp_path / "loom.yaml").write_text("targets: {prod: {load: {destination: '{target}.csv'}}}\n")
    made(tmp_path, "kept", "plain.csv")
    told = loom("register", "pipeline.yaml", "--target", "prod", "--format", "json").report
    assert told == {"pipeline": "kept", "version": "1.0.0", "target": "prod"}
    (tmp_path / "pipeline.yaml").unlink()
    report = loom("run", "kept", "--format", "json").report
    assert (report["target"], report["records"]["loaded"]) == ("prod", 4)
    assert len((tmp_path / "prod.csv").read_text().splitlines()) > 4
    listed = loom("quarantine")
    assert "r000000" in listed.out
    assert listed.out == loom("quarantine", "list", "--run-id", "latest").out
    assert report["run_id"] in loom("status", "latest").out
    assert "1 record of" in loom("quarantine", "discard", "latest", "--all").err


async def test_a_pipeline_is_registered_on_a_cluster_and_run_there_by_its_name(cluster):
    registered = made(cluster.project / "by_name", "by_name", "${RESULTS}?table=by_name")
    environ = cluster.credentials
    config = ("--config", str(cluster.project / "loom.yaml"))
    first = await loom_process(registered.folder, "register", "pipeline.yaml", "--cluster", *config, environ=environ)
    assert (first.code, "is known to the cluster" in first.err) == (0, True)
    ran = await loom_process(
        registered.folder, "run", "by_name", "--cluster", "--format", "json", *config, environ=environ
    )
    assert (ran.code, ran.report["records"]["loaded"]) == (0, 4)


@pytest.mark.parametrize("shared", [True, False])
def test_runs_of_the_projects_pipelines_are_meant_where_others_share_its_run_state(tmp_path, monkeypatch, shared):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text("name: mine\nextract: {source: a.csv}\n")
    config = LoomConfig.load()
    assert state.meant_pipelines(config.for_cluster() if shared else config) == ({"mine"} if shared else None)
