"""Stores files in what is no file system: named bytes in a dictionary, as a bucket has them."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import BinaryIO

from loom_connectors.files.storage import FileState, Opened, StoredFile
from loom_connectors.ports.context import ConnectorContext


@dataclass(frozen=True)
class MemoryFile:
    """Represents one of the bucket's objects."""

    bucket: dict[str, bytes]
    key: str

    @property
    def name(self) -> str:
        return self.key.rpartition("/")[2]

    @property
    def shown(self) -> str:
        return f"memory://{self.key}"

    def state(self) -> FileState | None:
        content = self.bucket.get(self.key)
        return None if content is None else FileState(len(content), (content,))

    @contextmanager
    def opened(self) -> Iterator[Opened]:
        content = self.bucket.get(self.key)
        if content is None:
            raise FileNotFoundError(self.shown)
        yield Opened(io.BytesIO(content), FileState(len(content), (content,)))


@dataclass(frozen=True)
class MemoryInputs:
    """Finds the objects whose keys match."""

    bucket: dict[str, bytes]
    pattern: str

    @property
    def place(self) -> str:
        return f"memory://{self.pattern}"

    def several(self) -> bool:
        return "*" in self.pattern

    def files(self) -> Sequence[MemoryFile]:
        keys = sorted(key for key in self.bucket if fnmatchcase(key, self.pattern))
        return [MemoryFile(self.bucket, key) for key in keys]

    def shown(self, file: StoredFile) -> str:
        return file.shown

    def relative(self, file: StoredFile) -> str:
        return file.name

    def trouble(self, file: StoredFile) -> AbstractContextManager[None]:
        return nullcontext()


@dataclass(frozen=True)
class MemoryResult:
    """Represents the object of a destination, and those beside it."""

    bucket: dict[str, bytes]
    key: str

    @property
    def file(self) -> MemoryFile:
        return MemoryFile(self.bucket, self.key)

    def check(self) -> None:
        return

    def trouble(self) -> AbstractContextManager[None]:
        return nullcontext()

    def alone(self) -> AbstractContextManager[None]:
        return nullcontext()

    def is_begun(self) -> bool:
        return any(key.startswith(f"{self.key}.loom/") for key in self.bucket)

    def beside(self, name: str) -> MemoryFile:
        return MemoryFile(self.bucket, f"{self.key}.loom/{name}")

    def names(self, ending: str, *, folder: str = "") -> list[str]:
        start = self.beside(f"{folder}/" if folder else "").key
        names = [key.removeprefix(start) for key in self.bucket if key.startswith(start)]
        return [name for name in names if name.endswith(ending) and "/" not in name]

    def see_parts(self, folder):
        return

    def put(self, name: str, content: bytes, *, durable: bool = False) -> None:
        self.bucket[self.beside(name).key] = content

    def extend(self, name: str, content: bytes) -> None:
        key = self.beside(name).key
        self.bucket[key] = self.bucket.get(key, b"") + content

    @contextmanager
    def writing(self, name: str, *, durable: bool = False) -> Iterator[BinaryIO]:
        target = io.BytesIO()
        yield target
        self.put(name, target.getvalue())

    def remove(self, name: str) -> None:
        self.bucket.pop(self.beside(name).key, None)

    def remove_folder(self, folder: str) -> None:
        for key in [key for key in self.bucket if key.startswith(self.beside(f"{folder}/").key)]:
            del self.bucket[key]

    def exchange(self, name: str) -> None:
        self.bucket[self.key] = self.bucket.pop(self.beside(name).key)

    def append(self, name: str, offset: int) -> bool:
        addition, there = self.bucket[self.beside(name).key], self.bucket.get(self.key, b"")
        if there[offset:] not in (b"", addition):
            return False
        self.bucket[self.key] = there[:offset] + addition
        return True


@dataclass(frozen=True)
class MemoryStorage:
    """Represents one bucket."""

    bucket: dict[str, bytes] = field(default_factory=dict)

    def inputs(self, location: str, context: ConnectorContext) -> MemoryInputs:
        return MemoryInputs(self.bucket, location.removeprefix("memory://"))

    def result(self, location: str, context: ConnectorContext) -> MemoryResult:
        return MemoryResult(self.bucket, location.removeprefix("memory://"))
