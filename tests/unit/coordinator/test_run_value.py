"""Tests that a `Run` is a row of `pipeline_runs`: as many fields as columns, and what was counted as a tally."""

from __future__ import annotations

import dataclasses

import pytest
from sqlalchemy import RowMapping, insert
from sqlalchemy.engine import create_engine

from loom_common.domain.run.tally import Tally
from loom_coordinator.db import run_rows
from loom_coordinator.db.run import Run
from loom_coordinator.db.tables import metadata
from loom_coordinator.db.tables.runs import pipeline_runs, pipelines
from support.run_rows import NOW, run_columns


@pytest.fixture
def stored():
    """Writes a run's row and reads it again."""
    engine = create_engine("sqlite://")
    metadata.create_all(engine)

    def store(**columns) -> RowMapping:
        with engine.begin() as connection:
            named = {"name": "p", "version": "1", "definition": {}, "files": {}, "base": ""}
            connection.execute(insert(pipelines).values(**named, created_at=NOW, updated_at=NOW))
            connection.execute(insert(pipeline_runs).values(**run_columns(**columns)))
            return connection.execute(run_rows.RUNS).mappings().one()

    yield store
    engine.dispose()


def test_a_run_has_a_field_for_every_column():
    assert [field.name for field in dataclasses.fields(Run)] == [*(each.name for each in pipeline_runs.c), "totals"]


def test_a_run_that_has_not_ended_has_no_tally(stored):
    run = Run.of(stored())
    assert (run.run_id, run.started_at, run.tally) == ("run_1", NOW, None)


def test_what_was_counted_at_the_end_is_a_tally(stored):
    counted = Tally(extracted=3, loaded=2, rejected=1, cost_transform=0.5)
    assert Run.of(stored(tally=counted.model_dump(), completed_at=NOW)).tally == counted
