"""Stands for the destination of a run whose records the Python code that started it takes one by one.

The records themselves are handed over by whoever opened the run, who sees what the loader settles. Here is only seen
to it that somebody takes them: a run that is resumed or replayed elsewhere would else count rows as loaded that nobody
has."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from loom_common.errors import ConfigurationError, DestinationError
from loom_connectors.ports.destination import Guarantee, LoadBatch, LoadResult

_taken: set[str] = set()
_NOBODY = (
    "The records of this run are handed to the Python code that started it, which is gone. Start it again with "
    "`stream_pipeline`."
)


@contextmanager
def taking(owner: str) -> Iterator[None]:
    """Within the block, somebody in this process takes the records of a run."""
    _taken.add(owner)
    try:
        yield
    finally:
        _taken.discard(owner)


class HandedRows:
    """Lets rows count as loaded that are handed over."""

    guarantee = Guarantee.OBJECT
    effect = "its records are handed to the Python code that started it"
    stages = False
    location = "the Python code that started the run"

    def __init__(self, owner: str) -> None:
        if owner not in _taken:
            raise ConfigurationError(_NOBODY)
        self._owner = owner

    async def check(self) -> None:
        """Do nothing: there is nothing to reach."""

    async def load(self, batch: LoadBatch) -> LoadResult:
        if self._owner not in _taken:
            raise DestinationError(_NOBODY)
        return LoadResult(len(batch.rows))

    async def finalize(self, run_id: str, *, complete: bool, keep: bool = False) -> bool:
        return True

    async def drop(self, run_id: str) -> bool:
        return True

    async def close(self) -> None:
        """Do nothing: nothing was opened."""
