"""Finds what a pipeline cannot have whose records of one key stay in sequence (`order_by`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from loom_common.domain.section import Mistake, items, mistake, said
from loom_common.domain.steps.operators import OPENING


def ordering_mistakes(written: Mapping[str, Any]) -> Iterator[Mistake]:
    """Yield what would load a record before an earlier one of its key."""
    order_by = said(written, "order_by")
    if not order_by:
        return
    if said(written, "mode") != "streaming":
        expected = "nothing here without `mode: streaming`: a run over a whole source reads several parts of it at once"
        yield mistake(("order_by",), "strange_for_type", expected, order_by)
        return
    load = said(written, "load")
    if said(load, "on_failure") == "retry":
        expected = "`quarantine` or `skip` beside `order_by`: a row that is tried again comes after later ones"
        yield mistake(("load", "on_failure"), "strange_for_type", expected, "retry")
    named = [order_by] if isinstance(order_by, str) else items(written, "order_by")
    for at, step in enumerate(items(said(written, "transform"), "steps")):
        if said(step, "type") in OPENING:
            kind = said(step, "type")
            expected = f"no `{kind}` beside `order_by`: records that are made of others are in no sequence"
            yield mistake(("transform", "steps", at), "strange_for_type", expected, said(step, "name"))
    names = [each for each in named if isinstance(each, str)]
    if len(set(names)) < len(names):
        yield mistake(("order_by",), "strange_for_type", "each field once", order_by)
