"""Reads an object in ranges, a few blocks ahead, and only as long as it is the same object."""

from __future__ import annotations

import io
from collections import OrderedDict
from typing import Any, BinaryIO, cast

import obstore
import obstore.exceptions as store_errors
from obstore.store import ObjectStore

from loom_connectors.storage.objects.errors import Changed

BLOCK = 1024 * 1024
_KEPT = 8
"""The number of blocks that are kept: a reader of columns goes from one to the other and back."""


class ObjectReader(io.RawIOBase):
    """Reads one version of an object from any byte. Raises `Changed` where there is another version by now."""

    def __init__(self, store: ObjectStore, key: str, size: int, tag: str | None) -> None:
        super().__init__()
        self._store, self._key, self._size, self._tag = store, key, size, tag
        self._at = 0
        self._blocks: OrderedDict[int, memoryview] = OrderedDict()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = max({io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence] + offset, 0)
        return self._at

    def readinto(self, buffer: Any) -> int:
        most = min(len(buffer), self._size - self._at)
        if most <= 0:
            return 0
        number, start = divmod(self._at, BLOCK)
        piece = self._block(number)[start : start + most]
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)

    def _block(self, number: int) -> memoryview:
        if number in self._blocks:
            self._blocks.move_to_end(number)
            return self._blocks[number]
        found = self._fetched(number * BLOCK, min((number + 1) * BLOCK, self._size))
        self._blocks[number] = found
        if len(self._blocks) > _KEPT:
            self._blocks.popitem(last=False)
        return found

    def _fetched(self, start: int, end: int) -> memoryview:
        options: dict[str, Any] = {"range": (start, end)}
        if self._tag is not None:
            options["if_match"] = self._tag
        try:
            answer = obstore.get(self._store, self._key, options=options)  # type: ignore[arg-type]
            if self._tag is not None and answer.meta["e_tag"] != self._tag:
                raise Changed
            found = memoryview(answer.bytes())
        except store_errors.PreconditionError:
            raise Changed from None
        if len(found) != end - start:
            raise Changed
        return found


def read_from(store: ObjectStore, key: str, size: int, tag: str | None) -> BinaryIO:
    """Return a stream over an object."""
    return cast("BinaryIO", io.BufferedReader(ObjectReader(store, key, size, tag), 64 * 1024))
