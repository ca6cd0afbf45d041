"""Writes and opens files as sources in tests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loom_common.config.credentials import Credentials
from loom_common.domain.definition.extract import ExtractConfig
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.source import ReadRecord, Source
from loom_connectors.registry import open_source


def source_of(
    folder: Path, content: bytes | str | None = None, *, name: str = "x.csv", key: Any = None, **options: Any
) -> Source:
    """Open the file `name` as a source, written first where `content` is given."""
    if content is not None:
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return open_source(ExtractConfig(source=name, key=key, options=options), ConnectorContext(folder, Credentials({})))


def outcome(record: ReadRecord) -> tuple[str, str | None, Mapping[str, Any]]:
    """Return where it stands, why it is kept back, and what it holds."""
    return record.position, record.error.code if record.error else None, record.data
