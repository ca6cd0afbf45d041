"""Runs coroutines in a thread, for a database whose driver blocks.

The methods of such a driver's `TableSession` are coroutines, because the port says so, but they wait for nothing: they
block. So a whole transaction is one visit to a thread, which is not left in the middle when the caller is cancelled."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


def finished(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine that waits for nothing, to its end. Returns what it returns and raises what it raises."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: Result = end.value
        return result
    coroutine.close()
    raise RuntimeError(f"{coroutine!r} waits for an event loop, where there is none")
