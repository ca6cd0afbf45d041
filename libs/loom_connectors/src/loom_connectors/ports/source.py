"""Defines what a source is: the port that every connector implements that reads records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.run.piece import Piece
from loom_common.domain.values.fields import Fields
from loom_common.domain.values.per_record import per_record
from loom_common.errors import RecordError
from loom_common.ports.received_pages import ReceivedMessage, ReceivedPage
from loom_connectors.ports.context import ConnectorContext


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
    known: int = 0
    """The number of messages that came beside the records and were left out, because they were taken before."""


SAMPLE = 100
"""The number of records that are looked at to learn the fields of a source that does not declare them."""


class Source(Protocol):
    """Can be read in pages, from any cursor it gave, the same records each time. Holds no state that matters."""

    async def check(self) -> None:
        """Reach the source. Raises `SourceError`, `AccessRefused`, `DependencyUnavailable`, each with place and
        remedy."""
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
        """Close the connections and files that reading opened."""
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
class VersionedSource(Source, Protocol):
    """Holds what was written at different times, as files do: a row that changed stands in it again, anywhere. Reading
    it once more costs nobody else anything."""

    holds_versions: bool


@runtime_checkable
class NearSource(Source, Protocol):
    """Lies on this machine, where it `is_near`: whoever reads it waits for nobody, and only computes."""

    is_near: bool


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


@runtime_checkable
class AcknowledgedSource(ReceivingSource, Protocol):
    """Is told which messages are kept, and gives those again that it was not told of. One whose place Loom alone keeps,
    as it does that of a folder, is told nothing."""

    async def acknowledge_kept(self, page: ReceivedPage) -> None:
        """Have the queue forget the messages of a page that is kept, because whoever received them may have died
        before. Where it has forgotten them already, nothing changes. Raises as `check` does."""
        ...


@runtime_checkable
class CountingSource(ReceivingSource, Protocol):
    """Ends a run after a number of messages."""

    def recounted(self, state: Any, known: int) -> Any:
        """Return the state after messages of which so many had been kept before. Those that the run itself has kept,
        and was given again, do not count."""
        ...


@runtime_checkable
class AskedSource(ReceivingSource, Protocol):
    """Gives what is new where it is asked for it, and tells nobody by itself."""

    poll_seconds: float
    """The least time between two questions of which the first brought nothing new; `extract.poll` says it."""


class SourceFactory(Protocol):
    """Opens a source; raises `ConfigurationError` for options it does not know."""

    def __call__(self, config: ExtractConfig, context: ConnectorContext) -> Source: ...
