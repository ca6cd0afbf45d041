"""Gives the rows of each batch to a function of the user: the destination `python:module:function`."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loom_common.errors import DestinationError
from loom_common.user_code.functions import load_function
from loom_connectors.ports.destination import FailedRow, Guarantee, LoadBatch, LoadResult


class FunctionDestination:
    """Represents a function of a list of dicts, plain or asynchronous, as a `Destination`. It returns nothing, or an
    entry `{"index": 3, "error": "why"}` for each row that it refuses."""

    def __init__(self, reference: str, folder: Path) -> None:
        self.location = f"python:{reference}"
        self._function = load_function(reference, folder)

    @property
    def guarantee(self) -> Guarantee:
        return Guarantee.AT_LEAST_ONCE

    @property
    def effect(self) -> str:
        return "what a later run makes of these rows, the function decides"

    @property
    def stages(self) -> bool:
        return False

    async def check(self) -> None:
        """Do nothing: the function was found, and only a run calls it."""

    async def load(self, batch: LoadBatch) -> LoadResult:
        if not batch.rows:
            return LoadResult(0)
        returned = self._function([dict(row.values) for row in batch.rows])
        if inspect.isawaitable(returned):
            returned = await returned
        failed = tuple(self._failed(returned, batch))
        return LoadResult(len(batch.rows) - len(failed), failed)

    async def finalize(self, run_id: str, *, complete: bool, keep: bool = False) -> bool:
        """Return True: the function has every row."""
        return True

    async def drop(self, run_id: str) -> bool:
        """Return True, because nothing is staged."""
        return True

    async def close(self) -> None:
        """Do nothing: nothing is open."""

    def _failed(self, returned: Any, batch: LoadBatch) -> list[FailedRow]:
        found: dict[int, FailedRow] = {}
        for each in returned if isinstance(returned, list | tuple) else () if returned is None else (returned,):
            index = each.get("index") if isinstance(each, Mapping) else None
            if type(index) is not int or not 0 <= index < len(batch.rows):
                raise DestinationError(
                    f"{self.location} returned {each!r:.80}. It has to return nothing, or a list with an entry "
                    '{"index": ..., "error": ...} for each row that it refuses.'
                )
            found[index] = FailedRow(batch.rows[index].record_id, "refused", str(each.get("error", "refused")))
        return list(found.values())
