"""Adds bytes at the end of a file, once each, whenever the process that adds them is killed.

What is to be added lies complete in a file of its own, and a note says at which byte it begins, before the first of its
bytes is written. So the next writer sees how much of it is there, and adds the rest."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import BinaryIO

from loom_common.errors import DestinationError

_CHUNK = 1024 * 1024


def added(path: Path, addition: Path, offset: int) -> bool:
    """Add what lacks of `addition`, which begins at byte `offset`. Returns whether it is there: False where something
    else was written to the place in the meantime, and nothing of it. Raises `DestinationError` where both were."""
    size = addition.stat().st_size
    with path.open("r+b" if path.exists() else "x+b") as target, addition.open("rb") as source:
        end = target.seek(0, io.SEEK_END)
        if end < offset:
            raise DestinationError(
                f"{path} has become shorter than it was when rows were to be added to it: {end:,} bytes, not "
                f"{offset:,}. Restore it, and resume the run."
            )
        there = min(end - offset, size)
        same = _common(target, offset, source, there)
        if same < there:
            if same == 0:
                return False
            raise DestinationError(
                f"Something else wrote to {path} while rows of a run were being added to it, at byte {offset:,}. "
                "Cut it off there, resume the run, and write again what else was written."
            )
        source.seek(there)
        while chunk := source.read(_CHUNK):
            target.write(chunk)
        target.flush()
        os.fsync(target.fileno())
    return True


def _common(target: BinaryIO, offset: int, source: BinaryIO, length: int) -> int:
    """Return how many of `length` bytes from `offset` on are those of `source`."""
    target.seek(offset)
    same = 0
    while same < length:
        one, other = target.read(min(_CHUNK, length - same)), source.read(min(_CHUNK, length - same))
        if one != other:
            return same + next((at for at, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), 0)
        same += len(one)
    return same
