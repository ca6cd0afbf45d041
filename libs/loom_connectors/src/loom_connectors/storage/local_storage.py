"""Implements files of this machine, by path or `file:///path`, as a `Storage`."""

from __future__ import annotations

import errno
import glob
import os
import shutil
import stat
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from loom_common import file_locks
from loom_common.allowed_paths import AllowedPaths
from loom_common.domain.values.destination_names import parts_folder, sample_file
from loom_common.errors import DestinationError, SourceError, StagedRowsLost
from loom_connectors.files.storage import FileState, Opened, StoredFile
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.storage.append import added
from loom_connectors.storage.local import (
    file_trouble,
    followed,
    held,
    host,
    path_of,
    pattern,
    put_in_place,
    see_that_it_can_be_written,
)


@dataclass(frozen=True, slots=True)
class LocalFile:
    """Represents a file of this machine."""

    path: Path
    paths: AllowedPaths

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def shown(self) -> str:
        return str(self.path)

    def state(self) -> FileState | None:
        return _state(self.path.stat()) if self.path.exists() else None

    @contextmanager
    def opened(self) -> Iterator[Opened]:
        with open(self.paths.real(self.path), "rb", opener=_without_link) as stream:
            found = os.fstat(stream.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise OSError(errno.ESPIPE, "A pipe, a socket or a device, of which nothing is read twice", self.shown)
            yield Opened(stream, _state(found))


class LocalInputs:
    """Finds one file, or all that match a pattern. A file may be called `d[1].csv`, so what is there is no pattern."""

    def __init__(self, location: str, context: ConnectorContext) -> None:
        self._location = location
        self._context = context
        self._folder = folder = context.folder
        self._paths = context.paths
        written = path_of(location)
        self._path = held(written, context)
        self._is_folder = self._path.is_dir()
        inside = f"{written.rstrip('/')}/**/*" if self._is_folder else written
        self._pattern = pattern(inside, folder) if self._is_folder or glob.has_magic(written) else None

    @property
    def place(self) -> str:
        return f"{self._path} on {host()}"

    def several(self) -> bool:
        return self._pattern is not None and (self._is_folder or not self._path.exists())

    def files(self) -> Sequence[LocalFile]:
        if not self.several():
            return [LocalFile(self._path, self._paths)]
        matches = glob.glob(self._pattern or "", recursive=True)  # noqa: PTH207  # leaves hidden files out, unlike Path.glob
        paths = sorted(path for path in map(Path, matches) if path.is_file() and not self._is_beside(path))
        if not paths:
            found = "is a folder without a file of data" if self._is_folder else "matches no file"
            raise SourceError(f"{self.place} {found}. {self._remedy}")
        for path in paths:
            self._paths.real(path)
        return [LocalFile(path, self._paths) for path in paths]

    def _is_beside(self, path: Path) -> bool:
        """Tell whether a file of a folder is no data: one named `_SUCCESS`, or what Loom keeps beside a result."""
        inside = path.relative_to(self._path).parts if self._is_folder else ()
        return any(part[0] == "_" or part.endswith(".loom") for part in inside)

    def only(self, path: str) -> LocalInputs:
        """Return one of the files, named as it is among the others."""
        return OneFile(self._location, self._context, LocalFile(Path(path), self._paths))

    def shown(self, file: StoredFile) -> str:
        return f"{file.shown} on {host()}"

    def relative(self, file: StoredFile) -> str:
        path = Path(file.shown)
        return path.relative_to(self._folder).as_posix() if path.is_relative_to(self._folder) else str(path)

    def trouble(self, file: StoredFile) -> AbstractContextManager[None]:
        return file_trouble(Path(file.shown), SourceError, self._remedy)

    @property
    def _remedy(self) -> str:
        return (
            f"Put the file there, or correct extract.source ('{self._location}', relative to the pipeline's folder "
            f"{self._folder.absolute()})."
        )


class OneFile(LocalInputs):
    """Finds one of the files of a source of several, whatever has become of the others."""

    def __init__(self, location: str, context: ConnectorContext, file: LocalFile) -> None:
        super().__init__(location, context)
        self._only = file

    def several(self) -> bool:
        return True

    def files(self) -> Sequence[LocalFile]:
        self._paths.real(self._only.path)
        return [self._only]


class LocalResult:
    """Represents a file of this machine, and the folder beside it. A link is followed: the file it leads to is
    written."""

    def __init__(self, path: Path, paths: AllowedPaths) -> None:
        self._paths = paths
        self._path = followed(path)
        self._folder = self._path.with_name(parts_folder(self._path.name))
        self._begun: set[str] = set()
        """Holds the folders in which parts were put; each is a run's."""
        self._lost: set[str] = set()
        """Holds the parts that somebody else removed."""
        self._seeing = threading.Lock()

    @property
    def file(self) -> LocalFile:
        return LocalFile(self._path, self._paths)

    def check(self) -> None:
        see_that_it_can_be_written(self._path)

    def trouble(self) -> AbstractContextManager[None]:
        return file_trouble(self._path, DestinationError, "Correct load.destination, or make the folder.")

    @contextmanager
    def alone(self) -> Iterator[None]:
        self._make_folder()
        with (self._folder / "lock").open("wb") as lock:
            file_locks.lock(lock)
            yield

    def is_begun(self) -> bool:
        return self._folder.exists()

    def beside(self, name: str) -> LocalFile:
        return LocalFile(self._folder / name, self._paths)

    def names(self, ending: str, *, folder: str = "") -> list[str]:
        return [path.name for path in (self._folder / folder).glob(f"*{ending}")]

    def see_parts(self, folder: str) -> None:
        with self._seeing:
            self._see_folder()
        if folder in self._lost:
            raise StagedRowsLost(
                f"{self._folder} on {host()} was removed while the run was loading, and with it rows that were loaded. "
                "Start a new run: a resume would lack them."
            )

    def put(self, name: str, content: bytes, *, durable: bool = False) -> None:
        self._make_folder()
        path = self._folder / name
        if path.parent != self._folder:
            self.see_parts(path.parent.name)
            path.parent.mkdir(exist_ok=True)
            self._begun.add(path.parent.name)
        temporary = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}")
        with temporary.open("wb") as target:
            target.write(content)
            if durable:
                _sync(target)
        temporary.replace(path)

    def extend(self, name: str, content: bytes) -> None:
        with (self._folder / name).open("ab") as target:
            target.write(content)

    @contextmanager
    def writing(self, name: str, *, durable: bool = False) -> Iterator[BinaryIO]:
        with (self._folder / name).open("wb") as target:
            yield target
            if durable:
                _sync(target)

    def remove(self, name: str) -> None:
        (self._folder / name).unlink(missing_ok=True)

    def remove_folder(self, folder: str) -> None:
        shutil.rmtree(self._folder / folder, ignore_errors=True)
        self._begun.discard(folder)

    def exchange(self, name: str) -> None:
        self._stay()
        put_in_place(self._folder / name, self._path)

    def append(self, name: str, offset: int) -> bool:
        self._stay()
        return added(self._path, self._folder / name, offset)

    def _stay(self) -> None:
        """See that neither has become a link that leads out of the project since it was opened."""
        for path in (self._path, self._folder):
            self._paths.real(path)

    def _see_folder(self) -> None:
        if self._begun and not self._folder.exists():
            self._lost |= self._begun
            self._begun.clear()

    def _make_folder(self) -> None:
        """Parts of a file that its owner alone may read are for nobody else either."""
        self._stay()
        with self._seeing:
            self._see_folder()
            self._folder.mkdir(parents=True, exist_ok=True)
        if self._path.exists() and not self._path.stat().st_mode & 0o077:
            self._folder.chmod(0o700)


class LocalStorage:
    """Stores files in the file systems of this machine."""

    def inputs(self, location: str, context: ConnectorContext) -> LocalInputs:
        return LocalInputs(location, context)

    def result(self, location: str, context: ConnectorContext) -> LocalResult:
        path = held(path_of(location), context)
        path = path.with_name(sample_file(path.name)) if context.sample else path
        context.paths.real(path)
        return LocalResult(path, context.paths)


def _state(found: os.stat_result) -> FileState:
    return FileState(found.st_size, (found.st_ino, found.st_size, found.st_mtime_ns))


_WITHOUT_LINK = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
"""Lets no link be followed, and no pipe be waited for, as a file is opened. Windows has neither flag."""


def _without_link(path: str, flags: int) -> int:
    """Open a path whose links have been followed, and that may have become one since. A pipe that nobody writes to is
    not waited for."""
    return os.open(path, flags | _WITHOUT_LINK)


def _sync(stream: BinaryIO) -> None:
    stream.flush()
    os.fsync(stream.fileno())
