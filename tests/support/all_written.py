"""Reads all that runs and commands have written, to look for what must not be there."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import zstandard


def everything(
    folder: Path, said: Sequence[str], logged: str, but: Sequence[str] = (".env",)
) -> Iterator[tuple[str, bytes]]:
    """Yield all that was written: files, tables, outputs and logs. Files whose names are in `but` are left out."""
    yield "log", logged.encode()
    yield from ((f"output {number}", text.encode()) for number, text in enumerate(said))
    for file in sorted(folder.rglob("*")):
        if not file.is_file() or file.name in but:
            continue
        content = file.read_bytes()
        yield str(file), content
        if content[:4] == b"\x28\xb5\x2f\xfd":
            yield str(file), zstandard.ZstdDecompressor().decompressobj().decompress(content)
        if content.startswith(b"SQLite format 3"):
            with closing(sqlite3.connect(file)) as database:
                tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
                for (table,) in tables:
                    rows = database.execute(f'SELECT * FROM "{table}"').fetchall()
                    yield f"{file}:{table}", repr(rows).encode()
