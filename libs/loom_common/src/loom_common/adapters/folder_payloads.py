"""The payload store as a folder: one file per payload, named by its hash."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from loom_common.domain.ids import content_hash


class FolderPayloads:
    """A folder that every worker sees: a laptop's, or a shared volume."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def put(self, data: bytes) -> str:
        return await asyncio.to_thread(self._put, data)

    def _put(self, data: bytes) -> str:
        name = content_hash(data)
        target = self._folder / name
        if not target.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self._folder, delete=False) as part:
                part.write(data)
            Path(part.name).replace(target)
        return name

    async def get(self, name: str) -> bytes:
        return await asyncio.to_thread(self._get, name)

    def _get(self, name: str) -> bytes:
        try:
            return (self._folder / name).read_bytes()
        except FileNotFoundError:
            raise KeyError(name) from None

    async def close(self) -> None:
        """Nothing is held open."""
