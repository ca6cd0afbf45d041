"""Records what of a run is in the file of a destination: its manifest, which lies beside the file."""

import hashlib
import io
from typing import Any, BinaryIO

from pydantic import BaseModel, ConfigDict

from loom_connectors.files.storage import StoredFile


class Publication(BaseModel):
    """A new state of the file that is about to be shown, or was just shown."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    size: int
    digest: str
    parts: tuple[str, ...]
    complete: bool
    offset: int | None = None
    """Says where rows are added: at which byte. None where the file is replaced."""


class Manifest(BaseModel):
    """Says what of a run is in the file."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    complete: bool = False
    parts: tuple[str, ...] = ()
    """Names of the parts that are in the file, of a run that is not complete."""
    publishing: Publication | None = None
    """Set before the file is put in place and resolved after it: whether it happened, the file itself tells."""

    def published(self, news: Publication) -> "Manifest":
        """The manifest once `news` is shown."""
        return Manifest(complete=news.complete, parts=() if news.complete else (*self.parts, *news.parts))


class Digesting(io.RawIOBase):
    """Passes on what is written to a stream, and keeps its size and its hash, which is that of `digest_of`."""

    def __init__(self, target: BinaryIO) -> None:
        super().__init__()
        self._target = target
        self._hash = hashlib.blake2b(digest_size=20)
        self.size = 0

    @property
    def digest(self) -> str:
        """Return the hash of what was written so far."""
        return self._hash.hexdigest()

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.size

    def write(self, data: Any) -> int:
        self._target.write(data)
        self._hash.update(data)
        self.size += memoryview(data).nbytes
        return memoryview(data).nbytes


def digest_of(file: StoredFile, size: int) -> str:
    """Hash of the first `size` bytes."""
    digest, left = hashlib.blake2b(digest_size=20), size
    with file.opened() as (stream, _):
        while left and (chunk := stream.read(min(left, 1024 * 1024))):
            digest.update(chunk)
            left -= len(chunk)
    return digest.hexdigest()
