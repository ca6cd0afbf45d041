"""Which records the replays of a run have put into a file: a list beside the file, as a database's load ledger is.

Each line names a record's thread, the run and the part it was written in; of several lines the last counts. A line is
written before its part, so what it says holds only where the part is there, or was joined into the file."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from loom_connectors.files.storage import ResultFile


class Place(NamedTuple):
    """Says where a record was written."""

    run_id: str
    part: str

    @property
    def name(self) -> str:
        """Return what the part is called beside the file."""
        return f"{self.run_id}/{self.part}"


class PartThreads:
    """Lists the threads of records that the parts of one origin run loaded. Its caller sees to it that one process at a
    time reads and writes it."""

    def __init__(self, result: ResultFile, origin: str, is_loaded: Callable[[Place], bool]) -> None:
        self._result = result
        self._name = f"{origin}.threads"
        self._is_loaded = is_loaded

    def loaded_elsewhere(self, threads: Iterable[str], here: Place) -> set[str]:
        """Return those of `threads` that are loaded, by another part than `here`."""
        known = self._read()
        return {name for name in threads if name in known and known[name] != here and self._is_loaded(known[name])}

    def enter(self, threads: Iterable[str], here: Place) -> None:
        """Say that these are about to be written in `here`."""
        lines = "".join(f"{name} {here.run_id} {here.part}\n" for name in threads)
        self._result.extend(self._name, lines.encode("ascii"))

    def _read(self) -> dict[str, Place]:
        file = self._result.beside(self._name)
        if file.state() is None:
            return {}
        with file.opened() as (stream, _):
            lines = [line.split() for line in stream.read().decode("ascii").splitlines()]
        return {line[0]: Place(line[1], line[2]) for line in lines if len(line) == 3}  # the last may be half-written
