"""Which embedded engines are at work on a project. Each holds a lock file in its folder for as long as it lives."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from loom_common import file_locks
from loom_common.file_errors import unusable


@contextmanager
def claim(project: Path) -> Iterator[str]:
    """Claim an engine's id, with a lock file held for as long as it lives, so that others can tell its runs from
    interrupted ones. The system drops a dead process's locks."""
    folder = project / ".loom" / "engines"
    owner = f"engine-{os.getpid()}-{secrets.token_hex(3)}"
    with _opened(folder / owner) as file:
        file_locks.lock(file)
        try:
            yield owner
        finally:
            _remove(folder / owner)


def _remove(path: Path) -> None:
    """Remove a lock file, where the system lets an open file be removed. What Windows keeps is locked by nobody once
    its process has ended."""
    with suppress(PermissionError):
        path.unlink(missing_ok=True)


def _opened(path: Path) -> TextIO:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("w")
    except OSError as error:
        raise unusable(str(path), error) or error from error


def alive(project: Path, owner: str | None) -> bool:
    """Tell whether the embedded engine of that id still runs."""
    if owner is None:
        return False
    try:
        with (project / ".loom" / "engines" / owner).open() as file:
            return file_locks.is_locked(file)
    except FileNotFoundError:
        return False
