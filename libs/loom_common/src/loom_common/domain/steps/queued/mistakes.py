"""Finds the steps that cannot have a queue of their own. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from loom_common.domain.section import Mistake, mistake, said
from loom_common.domain.steps.asking import RESOLVE
from loom_common.domain.steps.operators import DEDUPE, GROUP

_WHY = {
    **dict.fromkeys(("filter", "router", DEDUPE, "passthrough"), "it takes less time than a message"),
    **dict.fromkeys(("unnest", "split", "gather", GROUP, RESOLVE), "it makes other records of those of a batch"),
}
"""Says of types of steps why they are taken where the step before them is."""


def queue_mistakes(step: Any) -> Iterator[Mistake]:
    """Yield the mistake of a step, as written, that has a queue of its own and makes no use of it."""
    kind, written = said(step, "type"), said(step, "queue")
    if written is not None and kind in _WHY:
        expected = (
            f"no `queue` in a step of type {kind}: {_WHY[kind]}, so it is taken by the process that takes the step "
            "before it; steps that ask models or run code of their own may have a queue"
        )
        yield mistake(("queue",), "strange_for_type", expected, written)
