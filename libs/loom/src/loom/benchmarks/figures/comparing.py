"""Compares candidates with each other: by accuracy on the same records, and by price. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from loom.benchmarks.figures import computed as figures
from loom.benchmarks.figures.result import Measured


def compared(measured: Sequence[Measured], seed: int) -> list[Measured]:
    """Return the candidates with what each gains over the first, and with who is on the frontier of cost and quality:
    nobody else is as good and cheaper, or better at the same price."""
    if not measured:
        return []
    first = measured[0]
    return [
        replace(
            each,
            gain=None if each is first else _gain(first, each, seed),
            on_frontier=not any(_beats(other, each) for other in measured),
        )
        for each in measured
    ]


def _gain(first: Measured, other: Measured, seed: int) -> figures.Figure | None:
    before = {each.record_id: each.right for each in first.predictions if each.right is not None}
    after = {each.record_id: each.right for each in other.predictions if each.right is not None}
    both = [name for name in before if name in after]
    if not both:
        return None
    return figures.difference([bool(before[name]) for name in both], [bool(after[name]) for name in both], seed)


def _beats(one: Measured, other: Measured) -> bool:
    """Tell whether a candidate is at least as good and as cheap as another, and one of the two more so."""
    mine, theirs = (one.quality, one.price.per_thousand), (other.quality, other.price.per_thousand)
    if one is other or None in mine or None in theirs:
        return False
    (quality, price), (their_quality, their_price) = mine, theirs
    assert quality is not None and price is not None and their_quality is not None and their_price is not None
    return quality >= their_quality and price <= their_price and (quality > their_quality or price < their_price)
