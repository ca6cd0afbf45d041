"""Opens the files of a source, and keeps one open between two pages where finding a place in it takes time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from loom_connectors.files.compression import unpacked
from loom_connectors.files.format import OpenFile
from loom_connectors.files.storage import FileState, Inputs, StoredFile


@dataclass(slots=True)
class _KeptOpen:
    """Holds the file that was read last, so that the next page need not find its place again."""

    shown: str
    version: tuple[object, ...]
    file: OpenFile
    closing: ExitStack


class OpenFiles:
    """Opens files for one page after the other. Pages may be read in several threads at once."""

    def __init__(self, inputs: Inputs, location: str, compression: str | None, *, keep: bool) -> None:
        """Take `location`, which names the file where it is the only one, and `keep`, which says whether a file stays
        open for the next page."""
        self._inputs = inputs
        self._location = location
        self._compression = compression
        self._keep = keep
        self._kept: list[_KeptOpen] = []

    @contextmanager
    def open(self, file: StoredFile, state: FileState | None) -> Iterator[OpenFile]:
        """Open a file, or take it as the page before left it. It is closed where reading fails. Raises
        `SourceError`."""
        taken = self._taken(file.shown, state)
        try:
            with self._inputs.trouble(file):
                if taken is None:
                    taken = self._opened(file)
                yield taken.file
        except BaseException:
            if taken is not None:
                taken.closing.close()
            raise
        self._kept.append(taken)
        while len(self._kept) > (1 if self._keep else 0):
            self._kept.pop(0).closing.close()

    def close(self) -> None:
        """Close what is open, and keep nothing open from now on."""
        self._keep = False
        while self._kept:
            self._kept.pop().closing.close()

    def _taken(self, shown: str, state: FileState | None) -> _KeptOpen | None:
        """Return the file that is open, where it is this one and nobody wrote to it."""
        try:
            kept = self._kept.pop()
        except IndexError:
            return None
        if state is not None and (kept.shown, kept.version) == (shown, state.version):
            return kept
        kept.closing.close()
        return None

    def _opened(self, file: StoredFile) -> _KeptOpen:
        several = self._inputs.several()
        shown = self._inputs.relative(file) if several else self._location
        prefix = f"{self._inputs.relative(file)} " if several else ""
        with ExitStack() as closing:
            stream, state = closing.enter_context(file.opened())
            content = unpacked(stream, self._compression, shown)
            return _KeptOpen(file.shown, state.version, OpenFile(content, shown, prefix), closing.pop_all())
