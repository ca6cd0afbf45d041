"""Defines what a destination is: the port that every connector implements that loads rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

from loom_common.domain.definition.load import LoadConfig
from loom_common.domain.values.fields import ColumnFit
from loom_common.domain.values.ids import thread_id
from loom_common.domain.values.per_record import per_record
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.source import Source


@runtime_checkable
class StartingSource(Source, Protocol):
    """Can have the system that it reads leave out records that are below the mark of `extract.incremental`. It gives
    every other record, and may give some that are below it. A source without this method gives all."""

    async def starts_by(self) -> str | None:
        """Say what the system is asked for, e.g. `updated_at >= the mark`; None where it is asked for all. Raises as
        `check` does."""
        ...


class Guarantee(StrEnum):
    """Lists what a destination may make of a batch that is loaded twice. `loom validate` prints it."""

    LEDGER = "exactly once: rows and a load-ledger row in one transaction"
    OBJECT = "exactly once: the same batch always writes the same part, and a manifest names the parts that count"
    UPSERT = "exactly once per key: loading a row again overwrites it with itself"
    MESSAGE_ID = "at least once, deduplicated by message id: a message that is published again has the same id"
    IDEMPOTENCY_KEY = (
        "at least once: exactly once where the server knows a request by its idempotency key, which is the same "
        "at each try"
    )
    AT_LEAST_ONCE = "at least once: a crash may load a batch again"


@per_record
class Row:
    """Holds one record as the destination gets it."""

    record_id: str
    values: dict[str, Any]
    """Holds the values by their columns. They may be the record's own, which other code reads afterwards, so a
    destination does not change them."""


@dataclass(frozen=True, slots=True)
class LoadBatch:
    """Holds the rows of one batch. `(partition, slice, position)` is its place in the source's order."""

    run_id: str
    batch_id: str
    partition: int
    slice: int
    position: int
    rows: Sequence[Row]
    origin: str | None = None
    """The run that first read these records, where a run before this batch's may have loaded some of them: a
    replay's batch, or one of a run that was resumed. Those are left out, and count as loaded. Kept by destinations with
    a ledger and by files."""

    @property
    def is_of_a_replay(self) -> bool:
        """Tell whether another run read these records first: then what is loaded is entered by record, too."""
        return self.origin is not None and self.origin != self.run_id

    @property
    def threads(self) -> dict[str, Row]:
        """Return the rows by the ids of their records' threads, in the order of these ids, so that no two loads
        deadlock."""
        return dict(sorted(self.threads_in_order.items()))

    @property
    def threads_in_order(self) -> dict[str, Row]:
        """Return the same in the order of the rows."""
        return {thread_id(self.origin or self.run_id, row.record_id): row for row in self.rows}


@dataclass(frozen=True, slots=True)
class FailedRow:
    """Describes a row the destination refused, for a reason of its own; its neighbours are loaded."""

    record_id: str
    code: str
    """`constraint`, `type`, `missing_column` ..."""
    reason: str


@dataclass(frozen=True, slots=True)
class LoadResult:
    """Says what became of a batch. The same for the same batch, however often it is loaded."""

    loaded: int
    failed: Sequence[FailedRow] = ()


@runtime_checkable
class CountsStaged(Protocol):
    """Can tell before `finalize` whether all that was loaded still waits beside the destination."""

    async def see_staged(self, run_id: str, batches: int) -> None:
        """Raise `StagedRowsLost`, and remove what is left of the run, where fewer than so many batches are there."""
        ...


class Destination(Protocol):
    """Takes batches, each once in effect."""

    @property
    def guarantee(self) -> Guarantee:
        """Return what a second load of the same batch does."""
        ...

    @property
    def effect(self) -> str:
        """Say what a run makes of the rows that earlier runs loaded. `loom validate` prints it."""
        ...

    @property
    def stages(self) -> bool:
        """Tell whether loaded rows wait beside the destination until `finalize` puts them in place."""
        ...

    @property
    def location(self) -> str:
        """Tell where results lie, fit to be shown: no credentials."""
        ...

    async def check(self) -> None:
        """Reach the destination, and see that it can be written as it is at this moment, whatever was found before.
        Batches may have been loaded before, and may be loaded after it. Raises `DestinationError`, `AccessRefused`,
        `DependencyUnavailable`, each with place and remedy."""
        ...

    async def load(self, batch: LoadBatch) -> LoadResult:
        """Write the batch. Raises for trouble of the destination as a whole; a row's own trouble is in the result."""
        ...

    async def finalize(self, run_id: str, *, complete: bool, keep: bool = False) -> bool:
        """Every batch of the run is loaded: publish the result as one. Idempotent. `complete` is False where the
        run failed: show what was loaded, but replace nothing. `keep` where it loaded nothing: a result that is there
        stays. Returns whether the run's result is what a reader finds now."""
        ...

    async def drop(self, run_id: str) -> bool:
        """Show what the run added, and remove what it staged, because nobody will go on with the run. Idempotent.
        Returns whether the run's result is what a reader finds now."""
        ...

    async def close(self) -> None:
        """Close the connections and files that loading opened."""
        ...


@runtime_checkable
class ComparableDestination(Destination, Protocol):
    """Has columns that can be compared, before a run, with those that it writes."""

    async def fits(self) -> Sequence[ColumnFit]:
        """Return every column that is known before there are rows, and every other one that is there. Changes nothing.
        Raises as `check` does."""
        ...


@runtime_checkable
class WithdrawingDestination(Destination, Protocol):
    """Removes rows that a run loaded, each by its key, where somebody asks for it."""

    @property
    def keeps_rows(self) -> str | None:
        """Say why rows cannot be removed with these settings, in a sentence; None where they can."""
        ...

    async def withdraw(self, batch: LoadBatch) -> int:
        """Remove the rows of the batch, which `origin` loaded, or a replay of it: once in effect, however often it is
        asked for. A replay may load their records again. Returns how many were there, and 0 where the batch was
        removed before. Raises as `load` does."""
        ...


class DestinationFactory(Protocol):
    """Opens a destination; raises `ConfigurationError` for options it does not know."""

    def __call__(self, config: LoadConfig, context: ConnectorContext) -> Destination: ...
