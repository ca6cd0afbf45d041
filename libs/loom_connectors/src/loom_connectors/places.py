"""Where files lie on this machine, and what the operating system's refusals mean."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loom_common.errors import AccessRefused, DependencyUnavailable, PermanentError

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
