"""Implements the payload store in a folder: one file per payload, named by its hash, with a subfolder for each run's
own data."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from loom_common.allowed_paths import AllowedPaths
from loom_common.domain.values.ids import content_hash
from loom_common.errors import PathNotAllowed
from loom_common.file_errors import unusable


class FolderPayloads:
    """Keeps payloads in a folder that every worker can reach: a local one, or a shared volume."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def put(self, data: bytes, *, run_id: str | None = None) -> str:
        return await asyncio.to_thread(self._put, data, run_id)

    def _put(self, data: bytes, run_id: str | None) -> str:
        name = content_hash(data) if run_id is None else f"{run_id}/{content_hash(data)}"
        target = self._folder / name
        try:
            self._write(target, data)
        except OSError as error:
            raise unusable(str(target), error) or error from error
        return name

    def _write(self, target: Path, data: bytes) -> None:
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as part:
                part.write(data)
            Path(part.name).replace(target)

    async def get(self, name: str) -> bytes:
        return await asyncio.to_thread(self._get, name)

    def _get(self, name: str) -> bytes:
        try:
            return AllowedPaths.of(self._folder).real(self._folder / name).read_bytes()
        except (FileNotFoundError, PathNotAllowed):  # the name came in a message
            raise KeyError(name) from None

    async def runs(self) -> Sequence[str]:
        return await asyncio.to_thread(self._runs)

    def _runs(self) -> list[str]:
        return [path.name for path in self._folder.iterdir() if path.is_dir()] if self._folder.is_dir() else []

    async def forget(self, run_id: str) -> None:
        await asyncio.to_thread(shutil.rmtree, self._folder / run_id, ignore_errors=True)

    async def close(self) -> None:
        """Do nothing: no file is kept open."""
