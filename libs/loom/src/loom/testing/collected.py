"""Takes the rows of a run under test into a file, with the ids of their records: the destination
`loom.testing.collected:Collected:///path`."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from loom_common.domain.json_values.exact_json import dumps, loads
from loom_common.errors import SourceError
from loom_connectors.custom import DataConnector, ExtractResult, LoadResult, Record

_REFERENCE = "loom.testing.collected:Collected"


def destination_of(file: Path) -> str:
    """Return the destination whose rows `rows_in` reads from the file."""
    return f"{_REFERENCE}:///?file={quote(str(file), safe='')}"


def rows_in(file: Path) -> dict[str, dict[str, Any]]:
    """Return the rows that were loaded, by the ids of their records. A row that was loaded twice stands once."""
    if not file.exists():
        return {}
    with file.open(encoding="utf-8") as stream:
        return {entry["id"]: entry["row"] for entry in map(loads, stream)}


class Collected(DataConnector):
    """Appends rows to a file."""

    async def connect(self) -> None:
        """Find the file that the location names."""
        self._file = Path(unquote(str(self.config["file"])))

    async def disconnect(self) -> None:
        """Do nothing: the file is open only while a batch is written."""

    async def extract(self, query: str, batch_size: int = 100, cursor: str | None = None) -> ExtractResult:
        """Refuse: rows are only appended. Raises `SourceError`."""
        raise SourceError(f"{self._file} is where the rows of a test are collected: a destination, and no source.")

    async def load(self, records: list[Record], destination: str) -> LoadResult:
        with self._file.open("ab") as stream:
            stream.write(b"".join(dumps({"id": each.id, "row": each.data}) + b"\n" for each in records))
        return LoadResult(len(records), 0)

    async def validate_connection(self) -> bool:
        return True
