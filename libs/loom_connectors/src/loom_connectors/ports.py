"""Defines what a source and a destination are: the ports that every connector implements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from loom_common.allowed_paths import AllowedPaths
from loom_common.config.credentials import Credentials
from loom_common.domain.definition.pipeline import ExtractConfig, LoadConfig
from loom_common.domain.incremental.window import Point
from loom_common.domain.run.piece import Piece
from loom_common.domain.values.ids import thread_id
from loom_common.domain.values.per_record import per_record
from loom_common.errors import RecordError
from loom_common.ports.clock import Clock, SystemClock
from loom_common.ports.received_pages import ReceivedMessage
from loom_common.user_code.threads import Threads


@dataclass(frozen=True, slots=True)
class ConnectorContext:
    """Says what a connector may know of where it runs."""

    folder: Path
    """Relative paths start here: the pipeline file's folder on this machine."""
    credentials: Credentials
    allowed: tuple[Path, ...] = ()
    """Holds the folders and files besides `folder` that paths may lead to, of which the first is the project's."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """Holds the run's parameters as typed Python values, for binding."""
    output_schema: Mapping[str, Any] | None = None
    """JSON Schema of the output, where the pipeline declares one: a destination may create its table by it."""
    record_key: tuple[str, ...] = ()
    """Holds the fields that identify a record, `extract.key`: a database updates by them unless it is told
    otherwise."""
    adds: bool = False
    """Tells whether the run adds to what is there unless it is told otherwise, as a replay does."""
    start: Point | None = None
    """Holds the least value of `extract.incremental`'s column that the run takes: a database or an API may be asked for
    no other. None where the run takes all, and before a run."""
    sample: bool = False
    """Tells whether the run only tries things out: a destination then writes beside its place, and never into it."""
    threads: Threads = field(default_factory=Threads)
    """Runs the code of plugins."""
    clock: Clock = field(default_factory=SystemClock)
    call_seconds: float = 900.0
    """The most that one call of a plugin's source or destination may take."""

    @property
    def paths(self) -> AllowedPaths:
        """Return where paths may lead."""
        return AllowedPaths.of(*self.allowed, self.folder)


@per_record
class ReadRecord:
    """Holds a record as read: JSON values only, each exactly what the source holds (see "How values travel" in the
    docs)."""

    position: str
    """Says where it stands, the same at every reading, and fit to be shown: `line 17`, `row 3`, `id=42`."""
    data: dict[str, Any]
    error: RecordError | None = None
    """Says why it cannot be used, e.g. a ragged row; `data` then holds what could be read of it."""


@dataclass(frozen=True, slots=True)
class Page:
    """Holds a piece of a source."""

    records: Sequence[ReadRecord]
    cursor: Any
    """JSON: where the next page begins. Means something to its source only."""
    end: bool
    """Tells whether nothing follows."""


SAMPLE = 100
"""The number of records that are looked at to learn the fields of a source that does not declare them."""


@dataclass(frozen=True, slots=True)
class Fields:
    """Names the fields that the records of a source have."""

    names: tuple[str, ...]
    certain: bool
    """Tells whether every record has these and no other, as far as can be told. False where the records that were
    looked at differ, and there are more of them."""


class Source(Protocol):
    """Can be read in pages, from any cursor it gave, the same records each time. Holds no state that matters."""

    async def check(self) -> None:
        """Reach it. Raises `SourceError`, `AccessRefused`, `DependencyUnavailable`, each with place and remedy."""
        ...

    async def count(self) -> int | None:
        """Count the records, where that is cheap to know; else return None."""
        ...

    async def fields(self) -> Fields | None:
        """Return what fields its records have, by its header, its columns or its first records; None where only a run
        tells. Raises as `check` does."""
        ...

    async def read(self, cursor: Any, limit: int) -> Page:
        """Read at most `limit` records from `cursor` (None: from the start), in constant memory."""
        ...

    async def close(self) -> None:
        """Release connections."""
        ...


PIECES = 8
"""The number of pieces that a large source is split into where nobody says how many."""


@runtime_checkable
class DivisibleSource(Source, Protocol):
    """Can be split into pieces that are read at the same time. A source without these methods is one piece."""

    async def split(self, parts: int | None) -> Sequence[Piece]:
        """Return at most `parts` pieces, in the order of the source: each begins where the one before it ends, the
        first has no `start` and the last no `until`. Where `parts` is None they are as many as the size of the source
        is worth, `PIECES` at most, and one where it is small. The same for the same source, in constant memory and at
        little cost beside reading it. Raises as `check` does."""
        ...

    async def read(self, cursor: Any, limit: int, until: Any = None) -> Page:
        """Read as a source does, and end before the record at the cursor `until`, which is a piece's; None: at the
        end of the source. The records of all pieces, one piece after the other, are those of the source, each with the
        position that it has in the source."""
        ...


@runtime_checkable
class StartingSource(Source, Protocol):
    """Can have the system that it reads leave out records that are below the mark of `extract.incremental`. It gives
    every other record, and may give some that are below it. A source without this method gives all."""

    async def starts_by(self) -> str | None:
        """Say what the system is asked for, e.g. `updated_at >= the mark`; None where it is asked for all. Raises as
        `check` does."""
        ...


class Received(Protocol):
    """Holds messages that were taken from a queue and are not acknowledged yet."""

    @property
    def messages(self) -> Sequence[ReceivedMessage]:
        """Return the messages in the order of the queue."""

    @property
    def state(self) -> Any:
        """Return what `receive` needs to go on, as JSON values."""

    @property
    def end(self) -> bool:
        """Tell whether the run takes no more, because the queue is empty or as much as the run wants is taken."""
        ...

    async def acknowledge(self) -> None:
        """Have the queue forget the messages, which are kept elsewhere now. Where the connection broke meanwhile,
        nothing is raised: they are delivered again."""
        ...

    async def give_back(self) -> None:
        """Return the messages to the queue."""


@runtime_checkable
class ReceivingSource(Source, Protocol):
    """Gives each message once, as a queue does. A run keeps what it receives, and reads slices from what is kept;
    `read` only looks at what stands first, and leaves it there."""

    @property
    def origin(self) -> str:
        """Name where the messages are taken from, the same for everybody who takes them from there."""
        ...

    @property
    def remembered_seconds(self) -> float:
        """Say for how long a message that is delivered again is recognised."""
        ...

    async def receive(self, state: Any, limit: int) -> Received:
        """Take at most `limit` messages. `state` is that of the messages before; None for the first. Raises as `check`
        does."""
        ...

    def records_of(self, body: bytes, position: str) -> Sequence[ReadRecord]:
        """Return the records of a kept message, which stand at `position` where it has no name of its own."""
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
        """Reach it, and see that it can be written. Raises `DestinationError`, `AccessRefused`,
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
        """Release connections."""
        ...


@dataclass(frozen=True, slots=True)
class ColumnFit:
    """Compares a column that a pipeline writes with the one that is there."""

    name: str
    written: str | None
    """Says which kind of values is written; None where only a run tells, or where nothing is."""
    there: str | None
    """The type of the column in the destination; None where it has none."""
    done: str
    """Says what a run does about it, in a few words."""
    fits: bool
    """Tells whether every value can be written as it is declared."""


@runtime_checkable
class ComparableDestination(Destination, Protocol):
    """Has columns that can be compared, before a run, with those that it writes."""

    async def fits(self) -> Sequence[ColumnFit]:
        """Return every column that is known before there are rows, and every other one that is there. Changes nothing.
        Raises as `check` does."""
        ...


class SourceFactory(Protocol):
    """Opens a source; raises `ConfigurationError` for options it does not know."""

    def __call__(self, config: ExtractConfig, context: ConnectorContext) -> Source: ...


class DestinationFactory(Protocol):
    """Opens a destination; raises `ConfigurationError` for options it does not know."""

    def __call__(self, config: LoadConfig, context: ConnectorContext) -> Destination: ...
