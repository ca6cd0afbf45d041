"""Which embedded engines are at work on a project. Each holds a lock file in its folder for as long as it lives."""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from loom_common.file_errors import unusable


@contextmanager
def claim(project: Path) -> Iterator[str]:
    """Claim an engine's id, with a lock file held for as long as it lives, so that others can tell its runs from
    interrupted ones. The kernel drops a dead process's locks."""
    folder = project / ".loom" / "engines"
    owner = f"engine-{os.getpid()}-{secrets.token_hex(3)}"
    with _opened(folder / owner) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield owner
        finally:
            (folder / owner).unlink(missing_ok=True)


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
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            return False
    except FileNotFoundError:
        return False
