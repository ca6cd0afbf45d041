"""Reads and writes what the batches of a run come to: its row in `run_totals`.

The row is written in every transaction that changes batches of the run, under the lock of the run's row. So it always
is what the rows of `batches` add up to, and nobody has to add them up; `queries/audit/books.py` compares the two."""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import RowMapping, Select, bindparam, select, update

from loom_common.domain.run.tally import Tally
from loom_common.domain.values import latency as histogram
from loom_common.flow import Stage
from loom_coordinator.db.tables.work import run_totals
from loom_coordinator.db.unit_of_work import UnitOfWork, one_of

_SHARES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}
_PREFIX = "totals_"
LABELLED = tuple(column.label(f"{_PREFIX}{column.name}") for column in run_totals.c)
"""The columns for a query that joins them to other tables; `RunTotals.of` reads them by these names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTotals:
    """Holds one row of `run_totals`; all is zero for a run without batches."""

    tally: Tally = field(default_factory=Tally)
    underway: int = 0
    """Batches that have not ended."""
    done: int = 0
    """Batches that have ended."""
    ended: int = 0
    """Records of those."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """The seconds that each stage has worked, by its name."""
    latency: Mapping[int, int] = field(default_factory=dict)
    """Histogram of the seconds that models took to answer, or code to transform a record."""
    waited: Mapping[int, int] = field(default_factory=dict)
    """Histogram of the seconds that records waited besides for their answers."""
    heard: Mapping[Stage, dt.datetime] = field(default_factory=dict)
    """When a batch that this stage was the last to finish was heard of for the last time."""
    heard_at: dt.datetime | None = None
    """When a fact was taken, or batches were asked for again, for the last time."""
    lately: Sequence[tuple[float, int]] = ()
    """Says what `ended` was at some moments (Unix time) of the last minute."""

    @staticmethod
    def of(row: Mapping[str, Any] | RowMapping) -> RunTotals:
        """Return the totals of a row with the columns `LABELLED`, which are NULL for a run without batches."""
        values = {name.removeprefix(_PREFIX): value for name, value in row.items() if name.startswith(_PREFIX)}
        if values["run_id"] is None:
            return NOTHING
        return RunTotals(
            tally=Tally.of({name: values[name] for name in Tally.model_fields}),
            underway=values["underway"],
            done=values["done"],
            ended=values["ended"],
            seconds=values["seconds"],
            latency={int(bucket): count for bucket, count in values["latency"].items()},
            waited={int(bucket): count for bucket, count in values["waited"].items()},
            heard={Stage(stage): dt.datetime.fromisoformat(at) for stage, at in values["heard"].items()},
            heard_at=values["heard_at"],
            lately=tuple((at, count) for at, count in values["lately"]),
        )

    def row(self, run_id: str) -> dict[str, Any]:
        """Return the columns of the run's row."""
        return {
            "run_id": run_id,
            **vars(self.tally),
            "underway": self.underway,
            "done": self.done,
            "ended": self.ended,
            "seconds": dict(self.seconds),
            "latency": {str(bucket): count for bucket, count in self.latency.items()},
            "waited": {str(bucket): count for bucket, count in self.waited.items()},
            "heard": {stage.value: at.isoformat() for stage, at in self.heard.items()},
            "heard_at": self.heard_at,
            "lately": [list(each) for each in self.lately],
        }

    def worked(self, stage: Stage) -> float:
        """Return how long a stage has worked, in seconds."""
        return self.seconds.get(stage.value, 0.0)

    def percentiles(self) -> dict[str, float | None]:
        """Return percentiles of `latency` in seconds."""
        return {name: histogram.percentile(self.latency, share) for name, share in _SHARES.items()}

    def waiting_percentiles(self) -> dict[str, float | None]:
        """Return percentiles of `waited` in seconds."""
        return {name: histogram.percentile(self.waited, share) for name, share in _SHARES.items()}


NOTHING = RunTotals()
"""The totals of a run without batches."""


async def read(unit: UnitOfWork, run_ids: Iterable[str]) -> dict[str, RunTotals]:
    """Return the totals of those of these runs that have batches."""
    rows = await unit.connection.execute(_named(unit.dialect), {"run_ids": list(run_ids)})
    return {row[f"{_PREFIX}run_id"]: RunTotals.of(row) for row in rows.mappings()}


@functools.cache
def _named(dialect: str) -> Select[tuple[object, ...]]:
    return select(*LABELLED).where(one_of(dialect, run_totals.c.run_id, bindparam("run_ids")))


async def write(unit: UnitOfWork, totals: Mapping[str, RunTotals]) -> None:
    """Write the totals of runs, by their ids. The runs are locked by the caller."""
    await unit.upsert(run_totals, [each.row(run_id) for run_id, each in totals.items()])


async def asked_again(unit: UnitOfWork, run_id: str) -> None:
    """Enter that batches of a run were asked for again."""
    await unit.connection.execute(update(run_totals).where(run_totals.c.run_id == run_id).values(heard_at=unit.now))
