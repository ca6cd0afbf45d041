"""Writes where reading stands in one file or several, and sees that these are as they were when it stood there."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from loom_common.errors import SourceError
from loom_connectors.files.format import FilePosition
from loom_connectors.files.storage import FileState, Inputs, StoredFile

_HEAD = 64 * 1024


class States:
    """Asks a storage once for the state of each file that a page has to do with."""

    def __init__(self, inputs: Inputs) -> None:
        self._inputs = inputs
        self._known: dict[str, FileState | None] = {}

    def of(self, file: StoredFile) -> FileState | None:
        """Return the state of a file; None where its storage does not tell. Raises `SourceError`."""
        if file.shown not in self._known:
            with self._inputs.trouble(file):
                self._known[file.shown] = file.state()
        return self._known[file.shown]


class Cursors:
    """Makes the cursors of a source that is files, and checks them."""

    def __init__(self, inputs: Inputs) -> None:
        self._inputs = inputs
        self._fingerprints: dict[str, tuple[tuple[object, ...], str]] = {}

    def at(self, files: Sequence[StoredFile], index: int, mark: FilePosition, states: States) -> dict[str, Any]:
        """Return the cursor of a place in the file of this index; the index after the last file is the end."""
        begun = index < len(files)
        return {
            "file": index,
            "name": self._inputs.relative(files[index]) if begun else None,
            "offset": mark.offset,
            "line": mark.line,
            "fingerprint": self._fingerprint(files[index], states) if begun else None,
        }

    def check(self, files: Sequence[StoredFile], cursor: Mapping[str, Any], states: States) -> None:
        """See that the file of a cursor is where it was, and as it was. Raises `SourceError`."""
        if cursor["name"] is None:
            return
        index = cursor["file"]
        name = self._inputs.relative(files[index]) if index < len(files) else "nothing"
        if name != cursor["name"]:
            raise SourceError(
                f"{self._inputs.place}: where {cursor['name']} stood in the order of files, {name} stands now. "
                "Files came or went while the run was reading; start a new run."
            )
        if self._fingerprint(files[index], states) != cursor["fingerprint"]:
            raise SourceError(
                f"{self._inputs.shown(files[index])} changed while the run was reading it. Start a new run, and let "
                "files grow under another name until they are complete."
            )

    def _fingerprint(self, file: StoredFile, states: States) -> str:
        """Return the size and the storage's mark of the content; or else the hash of the first and last 64 KiB, which a
        writer can hardly leave as they were.

        Computed anew only where the storage says that the file was written to."""
        state = states.of(file)
        if state is not None and state.tag is not None:
            return f"{state.size}-{state.tag}"
        known = self._fingerprints.get(file.shown)
        if known is not None and state is not None and known[0] == state.version:
            return known[1]
        with self._inputs.trouble(file), file.opened() as (stream, state):
            digest = hashlib.blake2b(stream.read(_HEAD), digest_size=12)
            stream.seek(max(state.size - _HEAD, 0))
            digest.update(stream.read(_HEAD))
        fingerprint = f"{state.size}-{digest.hexdigest()}"
        self._fingerprints[file.shown] = (state.version, fingerprint)
        return fingerprint
