"""Finds the objects that a source names: one, all that match a pattern, or all below a folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime

import obstore
from obstore.store import ObjectStore

from loom_common.errors import SourceError
from loom_connectors.files.storage import FileState, Opened, StoredFile
from loom_connectors.storage.objects.address import Address
from loom_connectors.storage.objects.errors import store_trouble
from loom_connectors.storage.objects.patterns import folder_of, is_hidden, names_several, pattern_of
from loom_connectors.storage.objects.reader import read_from


@dataclass(frozen=True, slots=True)
class ObjectFile:
    """Represents an object, which may not be there."""

    store: ObjectStore
    root: str
    key: str
    listed: FileState | None = None
    """Holds the state of the file, where a listing told it."""

    @property
    def name(self) -> str:
        return self.key.rpartition("/")[2]

    @property
    def shown(self) -> str:
        return f"{self.root}/{self.key}"

    def state(self) -> FileState | None:
        if self.listed is not None:
            return self.listed
        try:
            return _state(obstore.head(self.store, self.key))
        except FileNotFoundError:
            return None

    @contextmanager
    def opened(self) -> Iterator[Opened]:
        state = self.state()
        if state is None:
            raise FileNotFoundError(self.shown)
        with read_from(self.store, self.key, state.size, state.tag) as stream:
            yield Opened(stream, state)


class ObjectInputs:
    """Finds the objects of a source."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._store = address.store()
        self._pattern = pattern_of(address.key) if self.several() else None
        self._folder = folder_of(address.key)

    @property
    def root(self) -> str:
        """Return the URL of the bucket, for messages."""
        return self._address.root

    @property
    def place(self) -> str:
        return f"{self._address.root}/{self._address.key}"

    def several(self) -> bool:
        return names_several(self._address.key)

    def files(self) -> Sequence[ObjectFile]:
        if self._pattern is None:
            return [self._file(self._address.key, None)]
        found = []
        for file, _written in self.listed():
            if file.key == self._address.key:
                return [file]  # an object may be called `d[1].csv`, so what is there is no pattern
            found.append(file)
        if not found:
            raise SourceError(f"{self.place}: no object matches. {_REMEDY}")
        return sorted(found, key=lambda each: each.key)

    def listed(self) -> Iterator[tuple[ObjectFile, datetime]]:
        """Yield the objects that match, and when each was written, as the store lists them: a thousand at a time.
        Raises as `Source.check` does."""
        with store_trouble(self.place, SourceError, _REMEDY):
            for each in (each for listed in obstore.list(self._store, self._folder or None) for each in listed):
                if self._names(each["path"]):
                    yield self._file(each["path"], _state(each)), each["last_modified"]

    def only(self, key: str, state: FileState | None) -> ObjectInputs:
        """Return one of the objects, named as it is among the others, in the `state` in which it was listed."""
        return OneObject(self._address, self._file(key, state))

    def shown(self, file: StoredFile) -> str:
        return file.shown

    def relative(self, file: StoredFile) -> str:
        return file.shown.removeprefix(f"{self._address.root}/").removeprefix(self._folder)

    def trouble(self, file: StoredFile) -> AbstractContextManager[None]:
        return store_trouble(file.shown, SourceError, _REMEDY)

    def _names(self, key: str) -> bool:
        if key == self._address.key or self._pattern is None:
            return key == self._address.key
        return self._pattern.fullmatch(key) is not None and not is_hidden(key.removeprefix(self._folder))

    def _file(self, key: str, state: FileState | None) -> ObjectFile:
        return ObjectFile(self._store, self._address.root, key, state)


class OneObject(ObjectInputs):
    """Finds one of the objects of a source."""

    def __init__(self, address: Address, file: ObjectFile) -> None:
        super().__init__(address)
        self._only = file

    def files(self) -> Sequence[ObjectFile]:
        return [self._only]


_REMEDY = "Put the object there, or correct extract.source."


def _state(found: obstore.ObjectMeta) -> FileState:
    """Return the state of an object that was listed, or asked for. Azure lists its tags without the quotes that they
    have everywhere else."""
    tag = found["e_tag"] or found["version"]
    if found["e_tag"] and not found["e_tag"].endswith('"'):
        tag = f'"{found["e_tag"]}"'
    return FileState(found["size"], (tag, found["size"], found["last_modified"]), tag)
