"""Holds a run as its row in `pipeline_runs` holds it.

A `Run` is what was read at one moment: it does not follow the row, and a change of the row needs another read."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import RowMapping

from loom_common.domain.run.tally import Tally
from loom_common.domain.values.ids import spawned_in, state_name
from loom_common.domain.values.stored_records import ROWS_SCHEME
from loom_coordinator.db.run_totals import RunTotals

Json = Mapping[str, Any]
"""A JSON object whose keys the pipeline's author chose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Holds one row of `pipeline_runs`. Every field but `totals` is the column of the same name; times are in UTC."""

    run_id: str
    pipeline_name: str
    pipeline_version: str
    execution_date: dt.datetime
    started_at: dt.datetime
    completed_at: dt.datetime | None
    """None for a run that has not ended, and for one that was resumed."""
    status: str
    """One of the statuses in `run_rows`."""
    error_message: str | None
    """Says why it is not `succeeded`; None for a run that is, or that has not ended."""
    prompt_version: str | None
    model: str | None
    context_versions: Json | None
    """The beginning of the content hash of each context file, by its path."""
    plan: str
    """The content hash under which the payload store holds the run's plan."""
    definition: Json
    """The pipeline's definition, as the request gave it."""
    params: Json
    requested_by: str | None
    idempotency_key: str | None
    replay_of: str | None
    """The run whose quarantined records it runs over again; None for a run over a source."""
    records_processed: int
    records_validated: int
    records_rejected: int
    rejection_rate: float | None
    tally: Tally | None
    """Says what was counted at its end; None before that."""
    cost_total: float | None
    """An amount in USD, written at its end."""
    cost_breakdown: Mapping[str, float] | None
    """An amount in USD by stage, written at its end."""
    duration_seconds: float | None
    latency_p50: float | None
    """The number of seconds; so are the next two."""
    latency_p95: float | None
    latency_p99: float | None
    waited: Mapping[str, float | None] | None
    """Seconds that records waited for their answers: `p50`, `p95`, `p99`."""
    destination: str
    epoch: int
    """Rises with each cancel, pause and resume. Workers drop messages of an earlier epoch."""
    budget: float | None
    """An amount in USD that it may spend in all; None without a limit."""
    reason: str | None
    """Says why it is paused or ended early, as a code; None otherwise."""
    estimate: Mapping[str, float] | None
    """Says what `loom cost --estimate` said before it began: `cost` in USD, and `records`."""
    owner: str | None
    """The embedded engine that runs it; None in a cluster."""
    wanted: str | None
    """A command that another process has left for the owner."""
    notice: str | None
    """Says what holds it up, in a sentence for people."""
    slice_batches: int
    """The number of batches in a slice."""
    credit_window: int
    """The number of batches that may be in flight."""
    least_window: int | None
    """The number of batches that may be in flight whatever the fleet does, because their records wait for batches of a
    model provider; None where none does."""
    priority: int
    """A number from 1 to 10, and sets its share beside other runs."""
    deadline: dt.datetime | None
    counted_before: Json | None
    """Failed records by stage when it was resumed last. `failure_limits` reads it."""
    counted: Json | None
    """Failed records by stage so far. `failure_limits` reads it."""
    placed: Mapping[str, bool] | None
    """Tells whether the rows of the `first` and `second` destination are in place; None until the loader has said
    so."""
    sample: int | None
    """The number of records that `--sample` limited it to; None for a whole run."""
    sampled: Mapping[str, Sequence[dict[str, Any]]] | None
    """Holds the first rows that a sample loaded, by `partition-slice-position` of their batch."""
    finalizing: bool
    """Says whether the loader has been asked to finalize its load, and has not answered."""
    tell_by: dt.datetime | None
    """Says when its end is told at the latest; None where it was told, or the run goes on. `run_ends` reads it."""
    preflight: Json | None
    """Says what was found before it began: `checks` and `columns`; None where nobody looked."""
    records: str | None
    """Names the set of stored records that it reads; None where it reads a source."""
    keeps_outputs: bool
    """Says whether what its records come to is kept for whoever gave them."""
    promises: Mapping[str, Any] | None
    """Says what the files of its cascades promise, by what each is of; None where it has none."""
    target: str | None
    """The target of the project that it ran for; None for a pipeline as it is written."""
    stream: str | None
    """The stream that it is a window of; None for any other run."""
    stream_window: int | None
    """Holds the run's number among the windows of its stream."""
    lineage_parent: Mapping[str, str | None] | None
    """Names the task of another tool that has asked for it as `run`, and what that belongs to as `root`; None without
    one."""
    canary_of: str | None
    """The window beside which it has the records of a version on trial; None for any other run."""
    day_budget: Json | None
    """Says what its stream may spend in a day: `usd`, `timezone` and `when_spent`; None without a limit."""
    resumes_at: dt.datetime | None
    """The moment at which it goes on by itself; None for a run that is not paused, and for one that somebody has to
    resume."""
    began_at: Json | None
    """Says that somebody had it begin at a place of its source, as `BeganAt`; None for any other run."""
    known: int
    """The number of messages that came again while it read, and were left out."""
    settled: bool
    """Tells whether what it came to is added to the days of its pipeline, because nothing changes it any more."""
    totals: RunTotals
    """The sums of its batches."""

    @staticmethod
    def of(row: Mapping[str, Any] | RowMapping, totals: RunTotals | None = None) -> Run:
        """Return the run of a row that holds every column of `pipeline_runs`. Without `totals` it holds those in
        `LABELLED`, too."""
        values = {name: value for name, value in row.items() if name in _COLUMNS}
        values["tally"] = Tally(**row["tally"]) if row["tally"] else None
        return Run(**values, totals=RunTotals.of(row) if totals is None else totals)

    @property
    def state_name(self) -> str:
        """Return the name under which is kept what the pipeline learns from run to run, for the run's target."""
        return state_name(self.pipeline_name, self.target)

    @property
    def spawns(self) -> list[str]:
        """Return the pipelines that it spawns when it succeeds. A trial, a replay and a run whose rows are handed over
        spawn none."""
        names = spawned_in(self.definition)
        if not names or self.sample is not None or self.replay_of is not None:
            return []
        handed_over = str(self.definition["load"]["destination"]).startswith(f"{ROWS_SCHEME}:")
        return [] if handed_over else names

    @property
    def keeps_order(self) -> bool:
        """Tell whether its records of one key stay in sequence: then it has one slice at work at a time."""
        return bool(self.definition.get("order_by"))

    @property
    def has_ended(self) -> bool:
        """Tell whether its end is written: when it came, and what was counted then."""
        return self.completed_at is not None and self.tally is not None


_COLUMNS = frozenset(each.name for each in fields(Run)) - {"totals"}
