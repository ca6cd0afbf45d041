"""Finds where files lie on this machine, and translates the operating system's refusals."""

from __future__ import annotations

import errno
import glob
import os
import shutil
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote

from loom_common.errors import (
    AccessRefused,
    ConfigurationError,
    DependencyUnavailable,
    DestinationError,
    PermanentError,
)
from loom_connectors.ports.context import ConnectorContext

_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}
_ABSENT = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.ESPIPE}


def host() -> str:
    """Return the machine's name: a path means something on one machine only, so messages carry both."""
    return socket.gethostname()


def resolved(location: str, folder: Path) -> Path:
    """Return a path as the user wrote it, absolute: relative ones start at `folder`, `~` is the user's home."""
    return (folder / Path(location).expanduser()).absolute()


def held(location: str, context: ConnectorContext) -> Path:
    """Return what `resolved` returns. Raises `PathNotAllowed` where it leads out of the project."""
    path = resolved(location, context.folder)
    context.paths.real(path)
    return path


def path_of(location: str) -> str:
    """Return the path of a location that is one, or a `file:///` URL. Raises `ConfigurationError` for a URL with a
    host."""
    scheme, separator, rest = location.partition("://")
    if not separator or scheme.lower() != "file":
        return location
    if not rest.startswith("/"):
        raise ConfigurationError(f"'{location}': expected file:///absolute/path (three slashes), or a path alone.")
    return unquote(rest)


def pattern(written: str, folder: Path) -> str:
    """Return what the path `written` matches below `folder`, whose own name is no pattern."""
    inside = Path(written).expanduser()
    return str(inside) if inside.is_absolute() else str(Path(glob.escape(str(folder.absolute()))) / inside)


def followed(path: Path) -> Path:
    """Return the file that a link leads to, be it there or not; the path itself where it is no link."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def put_in_place(temporary: Path, path: Path) -> None:
    """Put a complete file in the place of another, which passes on its permissions and its owner. Where this user may
    not give files to that owner, the other is written over instead, which is not done at once."""
    if not path.exists():
        temporary.replace(path)
        return
    was = path.stat()
    mine = temporary.stat()
    if (was.st_uid, was.st_gid) != (mine.st_uid, mine.st_gid):
        try:
            os.chown(temporary, was.st_uid, was.st_gid)
        except PermissionError:
            shutil.copyfile(temporary, path)
            temporary.unlink()
            return
    temporary.chmod(stat.S_IMODE(was.st_mode))
    temporary.replace(path)


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
    """Check that it can be written, without touching it or making its folder. Raises `AccessRefused`,
    `DestinationError`."""
    with file_trouble(path, DestinationError, "Correct load.destination."):
        if path.is_dir():
            raise DestinationError(f"{path} on {host()} is a folder; load.destination must name a file.")
        if path.exists() and not path.is_file():
            raise DestinationError(f"{path} on {host()} is no regular file; load.destination must name one.")
        ground = next(parent for parent in path.parents if parent.exists())
        if not ground.is_dir():
            raise DestinationError(f"{ground} on {host()} is a file, so {path} cannot be written under it.")
        for place in (ground, path):
            if place.exists() and not os.access(place, os.W_OK, effective_ids=True):
                raise AccessRefused(
                    f"{place} on {host()} cannot be written by this user. Give the permission, or name another place "
                    "in load.destination."
                )
