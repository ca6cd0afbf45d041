"""Tests what commands say where a run or a record is not found: what was looked for, where, and what to do."""

import pytest

from loom.cli.options.quarantine_filters import options_of
from loom.project.config import LoomConfig
from loom.project.run_state import no_run
from loom_common.flow import Stage
from loom_quarantine.queries import RecordFilter


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Provide a working directory without LOOM_* in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in ("LOOM_STATE_URL", "LOOM_BUS_URL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_a_run_that_is_not_known_is_said_with_the_state_file(project):
    assert str(no_run(LoomConfig(), "run_1")) == (
        f"There is no run run_1 in the state file {project}/.loom/loom.db. `loom history` lists the runs. The runs of "
        "a cluster are found with `--cluster`."
    )


def test_a_run_that_is_not_known_is_said_with_the_database_of_a_cluster_and_without_its_password(project, monkeypatch):
    monkeypatch.setenv("LOOM_STATE_URL", "postgresql://loom:secret@db:5432/loom")
    monkeypatch.setenv("LOOM_BUS_URL", "amqp://loom:secret@broker/")
    said = str(no_run(LoomConfig().for_cluster(), "run_1"))
    assert said == (
        "There is no run run_1 in the database postgresql://db:5432/loom. `loom history --cluster` lists the runs."
    )


@pytest.mark.parametrize(
    ("meant", "options"),
    [
        (RecordFilter(run_id="run_1"), ""),
        (RecordFilter(run_id="run_1", unresolved=True), ""),
        (RecordFilter(stage=Stage.LOAD, reason="too long"), "`--stage load --reason 'too long'`"),
        (RecordFilter(record_ids=("a", "b"), evaluator="stars", min_score=0.0, max_score=0.5),
         "`--record-ids a,b --evaluator stars --min-score 0.0 --max-score 0.5`"),
    ],
)  # fmt: skip
def test_a_filter_is_said_as_the_options_that_make_it(meant, options):
    assert options_of(meant) == options
