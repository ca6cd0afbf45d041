"""Calls a handler as a worker does: with a context, and with the router of its result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from loom_ai.stores.memory.marks import MemoryMarks
from loom_common.contracts.v1 import LoadFinalized, RecordsKept
from loom_common.flow import Stage
from loom_common.user_code.poison_isolation import Isolation
from loom_common.user_code.stage_runner import StageRunner
from loom_common.worker import router
from loom_common.worker.context import Context
from loom_common.worker.slices import Slice
from loom_common.worker.stage_result import Evaluated, Extracted, HandedOn, Loaded, Transformed

ROUTERS: dict[type, Callable[..., Any]] = {
    Slice: router.sliced,
    Extracted: router.extracted,
    Transformed: router.transformed,
    HandedOn: router.transformed,
    Evaluated: router.evaluated,
    Loaded: router.loaded,
    LoadFinalized: router.finalized,
    RecordsKept: router.kept,
    type(None): router.nothing,
}


async def outgoing_of(handler, message, context: Context | None = None):
    """Return the messages that follow from a message."""
    context = context or Context()
    result = await handler(message, context)
    return ROUTERS[type(result)](message, result, context)


def runner_of(plans, make, stage: Stage) -> StageRunner[Any]:
    """Return a stage's runner whose marks lie in memory."""
    return StageRunner(plans, make, Isolation(MemoryMarks(), stage))
