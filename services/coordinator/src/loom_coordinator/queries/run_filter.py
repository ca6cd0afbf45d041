"""Filters runs, and names the place where a page of them ends."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, or_

from loom_coordinator.db import run_rows
from loom_coordinator.db.tables.runs import pipeline_runs

INTERRUPTED = "interrupted"
"""The status that people are shown of a run whose row says `running`, while the engine that ran it has ended."""


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Filters runs. A field that is None, and an empty `statuses`, do not restrict them."""

    pipeline: str | None = None
    statuses: frozenset[str] = frozenset()
    """Statuses as people are shown them, `interrupted` among them."""
    since: dt.datetime | None = None
    """The earliest start, inclusive."""
    until: dt.datetime | None = None
    """The latest start, exclusive."""
    among: frozenset[str] | None = None
    """The pipelines whose runs may be seen."""

    def conditions(self, interrupted: Collection[str]) -> list[ColumnElement[bool]]:
        """Return the conditions in SQL. `interrupted` are the ids of the runs that have this status."""
        columns = pipeline_runs.c
        chosen: list[ColumnElement[bool]] = []
        if self.pipeline is not None:
            chosen.append(columns.pipeline_name == self.pipeline)
        if self.among is not None:
            chosen.append(columns.pipeline_name.in_(sorted(self.among)))
        if self.since is not None:
            chosen.append(columns.started_at >= self.since)
        if self.until is not None:
            chosen.append(columns.started_at < self.until)
        if self.statuses:
            chosen.append(or_(*(_has(status, interrupted) for status in sorted(self.statuses))))
        return chosen


@dataclass(frozen=True, slots=True)
class RunKey:
    """Names a run by its place in a list of the newest runs first."""

    started_at: dt.datetime
    run_id: str

    def after(self) -> ColumnElement[bool]:
        """Return the condition of the runs that come after it in the list."""
        columns = pipeline_runs.c
        same = and_(columns.started_at == self.started_at, columns.run_id < self.run_id)
        return and_(columns.started_at <= self.started_at, or_(columns.started_at < self.started_at, same))


def _has(status: str, interrupted: Collection[str]) -> ColumnElement[bool]:
    columns = pipeline_runs.c
    if status == INTERRUPTED:
        return columns.run_id.in_(interrupted)
    if status == run_rows.RUNNING:
        return and_(columns.status == status, columns.run_id.not_in(interrupted))
    return columns.status == status
