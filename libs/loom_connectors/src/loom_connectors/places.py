"""Where files lie on this machine, and what the operating system's refusals mean."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loom_common.errors import AccessRefused, DependencyUnavailable, DestinationError, PermanentError

_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}
_ABSENT = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP}


def host() -> str:
    """The machine's name: a path means something on one machine only, so messages carry both."""
    return socket.gethostname()


def resolved(location: str, folder: Path) -> Path:
    """A path as the user wrote it, absolute: relative ones start at `folder`, `~` is the user's home."""
    return (folder / Path(location).expanduser()).absolute()


@contextmanager
def file_trouble(path: Path, trouble: type[PermanentError], remedy: str) -> Iterator[None]:
    """Turn an `OSError` about `path` into `AccessRefused` (permission), `trouble` (it is not there, or is no file)
    or `DependencyUnavailable` (anything that may pass, such as a full disk)."""
    try:
        yield
    except OSError as error:
        place = f"{error.filename or path} on {host()}"
        reason = error.strerror or type(error).__name__
        if error.errno in _REFUSED:
            raise AccessRefused(f"{place}: {reason}. Give this user the permission, or name another place.") from error
        if error.errno in _ABSENT:
            raise trouble(f"{place}: {reason}. {remedy}") from error
        raise DependencyUnavailable(f"{place}: {reason}.") from error


def see_that_it_can_be_written(path: Path) -> None:
    """Without touching it, nor making its folder. Raises `AccessRefused`, `DestinationError`."""
    with file_trouble(path, DestinationError, "Correct load.destination."):
        if path.is_dir():
            raise DestinationError(f"{path} on {host()} is a folder; load.destination must name a file.")
        ground = next(parent for parent in path.parents if parent.exists())
        if not ground.is_dir():
            raise DestinationError(f"{ground} on {host()} is a file, so {path} cannot be written under it.")
        for place in (ground, path):
            if place.exists() and not os.access(place, os.W_OK, effective_ids=True):
                raise AccessRefused(
                    f"{place} on {host()} cannot be written by this user. Give the permission, or name another place "
                    "in load.destination."
                )
