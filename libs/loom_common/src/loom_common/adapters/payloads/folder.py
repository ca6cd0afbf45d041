"""Implements the payload store in a folder: one file per payload, named by its hash, with a subfolder for each
owner's data."""

from __future__ import annotations

import asyncio
import datetime as dt
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from loom_common.allowed_paths import AllowedPaths
from loom_common.domain.values.ids import content_hash
from loom_common.errors import PathNotAllowed
from loom_common.file_errors import unusable

_PART = ".part-"
"""Begins the names of files that are being written."""


class FolderPayloads:
    """Keeps payloads in a folder that every worker can reach: a local one, or a shared volume."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def put(self, data: bytes, *, owner: str | None = None) -> str:
        return await asyncio.to_thread(self._put, data, owner)

    def _put(self, data: bytes, owner: str | None) -> str:
        name = content_hash(data) if owner is None else f"{owner}/{content_hash(data)}"
        target = self._folder / name
        try:
            self._write(target, data)
        except OSError as error:
            raise unusable(str(target), error) or error from error
        return name

    def _write(self, target: Path, data: bytes) -> None:
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=target.parent, prefix=_PART, delete=False) as part:
                part.write(data)
            Path(part.name).replace(target)

    async def put_first(self, data: bytes, *, owner: str, name: str) -> bytes:
        return await asyncio.to_thread(self._put_first, data, self._folder / owner / name)

    def _put_first(self, data: bytes, target: Path) -> bytes:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=target.parent, prefix=_PART) as part:
                part.write(data)
                part.flush()
                with suppress(FileExistsError):
                    target.hardlink_to(part.name)  # unlike a rename, it leaves what is there
            return target.read_bytes()
        except OSError as error:
            raise unusable(str(target), error) or error from error

    async def get(self, name: str) -> bytes:
        return await asyncio.to_thread(self._get, name)

    def _get(self, name: str) -> bytes:
        try:
            return AllowedPaths.of(self._folder).real(self._folder / name).read_bytes()
        except (FileNotFoundError, PathNotAllowed):  # the name came in a message
            raise KeyError(name) from None

    async def owners(self) -> Mapping[str, dt.datetime]:
        return await asyncio.to_thread(self._owners)

    def _owners(self) -> dict[str, dt.datetime]:
        found = [path for path in self._folder.iterdir() if path.is_dir()] if self._folder.is_dir() else []
        return {path.name: dt.datetime.fromtimestamp(path.stat().st_mtime, dt.UTC) for path in found}

    async def names(self, owner: str) -> Sequence[str]:
        return await asyncio.to_thread(self._names, owner)

    def _names(self, owner: str) -> list[str]:
        folder = self._folder / owner
        found = [path.name for path in folder.iterdir()] if folder.is_dir() else []
        return [f"{owner}/{name}" for name in found if not name.startswith(_PART)]

    async def forget(self, owner: str) -> None:
        await asyncio.to_thread(shutil.rmtree, self._folder / owner, ignore_errors=True)

    async def close(self) -> None:
        """Do nothing: no file is kept open."""
