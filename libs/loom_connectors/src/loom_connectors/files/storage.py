"""Defines the port that each storage of files implements.

A storage is a place for named sequences of bytes: a folder of this machine, or a bucket. A source lists its files and
reads them from any offset. A destination has one result file, and puts parts and manifests beside it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple, Protocol

from loom_connectors.ports.context import ConnectorContext


@dataclass(frozen=True, slots=True)
class FileState:
    """Describes what a storage says of a file that is there."""

    size: int
    """A size in bytes."""
    version: tuple[object, ...]
    """Differs where the file may have been written to since."""
    tag: str | None = None
    """The storage's own mark of the content, such as an ETag: another one where the content is another."""


class Opened(NamedTuple):
    """Represents a file that is being read."""

    stream: BinaryIO
    """Can be read from any offset."""
    state: FileState


class StoredFile(Protocol):
    """Represents one file, which may not be there. Every method may raise `OSError`."""

    @property
    def name(self) -> str:
        """Return the last part of its path."""
        ...

    @property
    def shown(self) -> str:
        """Return the path or URL of the file, in full, for messages."""
        ...

    def state(self) -> FileState | None:
        """Return the state; None where it is not there."""
        ...

    def opened(self) -> AbstractContextManager[Opened]:
        """Open the file, to be read."""
        ...


class Inputs(Protocol):
    """Lists the files that a location of a source names."""

    @property
    def place(self) -> str:
        """Return the location in full, for messages, with the machine where it means one."""
        ...

    def several(self) -> bool:
        """Tell whether the location is a pattern."""
        ...

    def files(self) -> Sequence[StoredFile]:
        """Return the files in the order of their names; the one that is named, be it there or not. Raises `SourceError`
        where none matches a pattern."""
        ...

    def shown(self, file: StoredFile) -> str:
        """Return one of the files in full, for messages, with the machine where it means one."""
        ...

    def relative(self, file: StoredFile) -> str:
        """Return the name by which a message, a record's position and a cursor tell one of the files from the
        others."""
        ...

    def trouble(self, file: StoredFile) -> AbstractContextManager[None]:
        """An `OSError` leaves this as `AccessRefused`, `SourceError` or `DependencyUnavailable`."""
        ...


class ResultFile(Protocol):
    """Represents the file of a destination, and what lies beside it, by names such as `run_1.json` or
    `run_1/0-0-1.part`."""

    @property
    def file(self) -> StoredFile:
        """Return the file itself."""
        ...

    def check(self) -> None:
        """See that it can be written, without touching it. Raises `AccessRefused`, `DestinationError`."""
        ...

    def trouble(self) -> AbstractContextManager[None]:
        """An `OSError` leaves this as `AccessRefused`, `DestinationError` or `DependencyUnavailable`."""
        ...

    def alone(self) -> AbstractContextManager[None]:
        """Lock the file for one process at a time, and one caller in it."""
        ...

    def is_begun(self) -> bool:
        """Tell whether anything was ever put beside it."""
        ...

    def beside(self, name: str) -> StoredFile:
        """Return what lies beside it by this name."""
        ...

    def names(self, ending: str, *, folder: str = "") -> list[str]:
        """Return the names of all that lies beside it, in a folder there where one is given, and ends so."""
        ...

    def see_parts(self, folder: str) -> None:
        """Raise `DestinationError` where somebody else removed what was put in a folder beside it, as far as that can
        be told here."""
        ...

    def put(self, name: str, content: bytes, *, durable: bool = False) -> None:
        """Put content beside it, in the place of what has this name: a reader finds the old or the new, whole.
        `durable`: it outlives the machine's failure from here on."""
        ...

    def extend(self, name: str, content: bytes) -> None:
        """Add content at the end of what has this name. Called by one at a time, see `alone`."""
        ...

    def writing(self, name: str, *, durable: bool = False) -> AbstractContextManager[BinaryIO]:
        """Write beside it, in pieces, what no other process reads before it is complete."""
        ...

    def remove(self, name: str) -> None:
        """Remove what has this name, where it is there."""
        ...

    def remove_folder(self, folder: str) -> None:
        """Remove all that lies in a folder beside it, where it is there."""
        ...

    def exchange(self, name: str) -> None:
        """Put what lies beside it, complete, in its place, at once."""
        ...

    def append(self, name: str, offset: int) -> bool:
        """Add what lacks of `name`, which begins at byte `offset` of the file. Returns whether it is there: False where
        something else was written to the place in the meantime, and nothing of it. Raises `DestinationError` where
        both were."""
        ...


class Storage(Protocol):
    """Represents one kind of place where files lie."""

    def inputs(self, location: str, context: ConnectorContext) -> Inputs:
        """Return the files of a source. Raises `ConfigurationError` for a location that it cannot read."""
        ...

    def result(self, location: str, context: ConnectorContext) -> ResultFile:
        """Return the file of a destination, or of its sample. Raises `ConfigurationError`."""
        ...
