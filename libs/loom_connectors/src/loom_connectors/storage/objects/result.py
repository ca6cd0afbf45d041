"""Represents the object of a destination, and those beside it."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, BinaryIO, cast

import obstore
from obstore.store import ObjectStore

from loom_common.domain.values.destination_names import parts_folder
from loom_common.errors import DestinationError
from loom_connectors.storage.objects.errors import store_trouble
from loom_connectors.storage.objects.files import ObjectFile
from loom_connectors.storage.objects.lock import ObjectLock

_PART = 8 * 1024 * 1024
"""The bytes of a part of a multipart upload: an object has at most 10,000."""
_AT_ONCE = 1
"""The parts that are under way while the next one is filled. Each is in memory whole."""
_MOST_COPIED = 5 * 1024**3
"""The most bytes that S3 copies in one request."""
_CHUNK = 1024 * 1024
_LONGEST_PART = 100
"""The most characters in the name of a part, without its run's folder."""
_LONGEST_FILE_NAME = 255
"""The most bytes of a name between two slashes on servers that keep objects as files."""
_REMEDY = "Correct load.destination, or make the bucket."


class ObjectResult:
    """Represents the object of a destination. It is only ever exchanged as a whole: a reader finds the old or the
    new."""

    def __init__(self, store: ObjectStore, root: str, key: str) -> None:
        self._store, self._root, self._key = store, root, key
        folder, slash, name = key.rpartition("/")
        self._folder = f"{folder}{slash}{parts_folder(name)}"

    @property
    def file(self) -> ObjectFile:
        return ObjectFile(self._store, self._root, self._key)

    def check(self) -> None:
        """Write an object beside it under a name as long as a part's and its own, find it and remove it: nothing else
        tells whether the keys may do that, and what the server makes of the name."""
        folder = f"probe-{id(self)}"
        length = max(_LONGEST_PART, min(len(self._key.rpartition("/")[2].encode()), _LONGEST_FILE_NAME + 1))
        name = f"{folder}-".ljust(length - 5, "0") + ".part"
        probe = self.beside(f"{folder}/{name}").key
        with self.trouble():
            obstore.put(self._store, probe, b"", use_multipart=False)
            found = self.names(".part", folder=folder)
            obstore.delete(self._store, probe)
        if found != [name]:
            raise DestinationError(
                f"{self.file.shown}: the server lists an object that was written beside it under another name, so "
                "staged rows would not be found. Give the destination a name of letters, digits, `-`, `_` and `.`."
            )

    def trouble(self) -> AbstractContextManager[None]:
        return store_trouble(self.file.shown, DestinationError, _REMEDY)

    def alone(self) -> AbstractContextManager[None]:
        return ObjectLock(self._store, self._root, self.beside("lock").key).held()

    def is_begun(self) -> bool:
        return any(listed for listed in obstore.list(self._store, self._folder, chunk_size=1))

    def beside(self, name: str) -> ObjectFile:
        return ObjectFile(self._store, self._root, f"{self._folder}/{name}")

    def names(self, ending: str, *, folder: str = "") -> list[str]:
        found = obstore.list_with_delimiter(self._store, f"{self._folder}/{folder}".rstrip("/"))["objects"]
        names = [each["path"].rpartition("/")[2] for each in found]
        return [name for name in names if name.endswith(ending)]

    def see_parts(self, folder: str) -> None:
        return  # a store has no folders that could be removed as one

    def put(self, name: str, content: bytes, *, durable: bool = False) -> None:
        obstore.put(self._store, self.beside(name).key, content, chunk_size=_PART, max_concurrency=_AT_ONCE)

    def extend(self, name: str, content: bytes) -> None:
        file = self.beside(name)
        there = b""
        if file.state() is not None:
            with file.opened() as (stream, _):
                there = stream.read()
        self.put(name, there + content)

    @contextmanager
    def writing(self, name: str, *, durable: bool = False) -> Iterator[BinaryIO]:
        with self._written(self.beside(name).key) as target:
            yield target

    def remove(self, name: str) -> None:
        obstore.delete(self._store, self.beside(name).key)

    def remove_folder(self, folder: str) -> None:
        for listed in obstore.list(self._store, f"{self._folder}/{folder}"):
            obstore.delete(self._store, [each["path"] for each in listed])

    def exchange(self, name: str) -> None:
        new = self.beside(name)
        state = new.state()
        if state is not None and state.size > _MOST_COPIED:
            with new.opened() as (stream, _), self._written(self._key) as target:
                shutil.copyfileobj(stream, target, _CHUNK)
        else:
            obstore.copy(self._store, new.key, self._key)
        obstore.delete(self._store, new.key)

    def append(self, name: str, offset: int) -> bool:
        """Write the object anew, with what is to be added at its end, unless it is there already."""
        addition, file = self.beside(name), self.file
        state = file.state()
        size = state.size if state else 0
        if size < offset:
            raise DestinationError(
                f"{file.shown} has become shorter than it was when rows were to be added to it: {size:,} bytes, not "
                f"{offset:,}. Restore it, and resume the run."
            )
        if size > offset:
            return _is_at(addition, file, offset)
        with self._written(self._key) as target:
            for each in (file, addition) if state else (addition,):
                with each.opened() as (stream, _):
                    shutil.copyfileobj(stream, target, _CHUNK)
        return True

    @contextmanager
    def _written(self, key: str) -> Iterator[BinaryIO]:
        """Write an object, which is there when the block ends well, and not before."""
        upload = obstore.open_writer(self._store, key, buffer_size=_PART, max_concurrency=_AT_ONCE)
        buffered = io.BufferedWriter(cast("io.RawIOBase", _Upload(upload)), _CHUNK)
        yield cast("BinaryIO", buffered)
        buffered.flush()
        upload.close()


class _Upload(io.RawIOBase):
    """Writes to an upload. Closing it does not end the upload."""

    def __init__(self, upload: obstore.WritableFile) -> None:
        super().__init__()
        self._upload = upload

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        """Write a copy: the upload goes on when this has returned, and the buffer is used again by then."""
        return self._upload.write(bytes(data))


def _is_at(addition: ObjectFile, file: ObjectFile, offset: int) -> bool:
    """Tell whether `file` has at `offset` what is to be added."""
    with addition.opened() as (added, _), file.opened() as (there, _):
        there.seek(offset)
        while chunk := added.read(_CHUNK):
            if there.read(len(chunk)) != chunk:
                return False
    return True
