"""Writes quarantined records to a file."""

from __future__ import annotations

import csv
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, TextIO

from loom.cli.output import stdout
from loom_common.domain.json_values.shown import Shown
from loom_common.errors import ConfigurationError
from loom_connectors.storage.local import followed, put_in_place


async def write(file: Path, rows: AsyncIterator[Shown]) -> int:
    """Write rows as JSON Lines or CSV, as the file's name says; `-` is stdout. A file is there whole or not at all. A
    link is followed, and the file that it leads to keeps its permissions.

    Returns how many. Raises `ConfigurationError` for another kind of file, or one that cannot be written."""
    if str(file) == "-":
        return await _json_lines(stdout.stream(), rows)
    kinds = {".jsonl": _json_lines, ".csv": _csv}
    if file.suffix not in kinds:
        raise ConfigurationError(f"{file}: the name ends in {file.suffix or 'nothing'}; expected .jsonl or .csv.")
    file = followed(file)
    part = file.with_name(f".{file.name}.part")
    try:
        with part.open("w", encoding="utf-8", newline="") as stream:
            number = await kinds[file.suffix](stream, rows)
        put_in_place(part, file)
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be written: {error.strerror}.") from error
    finally:
        part.unlink(missing_ok=True)
    return number


async def _json_lines(stream: TextIO, rows: AsyncIterator[Shown]) -> int:
    number = 0
    async for row in rows:
        stream.write(json.dumps(row.as_json(), ensure_ascii=False) + "\n")
        number += 1
    stream.flush()
    return number


async def _csv(stream: TextIO, rows: AsyncIterator[Shown]) -> int:
    """What has parts is JSON in its cell."""
    writer = None
    number = 0
    async for row in rows:
        cells = {name: _cell(value) for name, value in row.as_json().items()}
        if writer is None:
            writer = csv.DictWriter(stream, list(cells))
            writer.writeheader()
        writer.writerow(cells)
        number += 1
    return number


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value
