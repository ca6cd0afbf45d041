"""Computes how many transformers a run needs to be done in time. Pure: what was measured in, a number and its reason
out."""

from __future__ import annotations

import math
from dataclasses import dataclass

from loom_common.flow import Stage


@dataclass(frozen=True, slots=True)
class Measured:
    """Describes a run as it goes now."""

    remaining: int
    """The number of records that have not come to their end."""
    rate: float
    """Records of this run per second that came to their end lately."""
    transformers: int
    """The number of replicas that are up."""
    waits_for: Stage | None
    """The stage in front of which most messages wait; None where none does."""


@dataclass(frozen=True, slots=True)
class Advice:
    """Says what to do, in a number where there is one."""

    transformers: int | None
    """The number of replicas that are needed; None where that cannot be said."""
    seconds: float | None
    """The time until the run is done as it goes now."""
    per_transformer: float | None
    """The number of records per second."""
    words: str


def advise(measured: Measured, within: float) -> Advice:
    """Advise what it takes to be done `within` so many seconds, if every transformer adds as much as those there
    now."""
    if measured.remaining <= 0:
        return Advice(None, 0.0, None, "Nothing is left to do.")
    if measured.rate <= 0 or measured.transformers <= 0:
        lacking = "no transformer is up" if measured.transformers <= 0 else "no record came to its end lately"
        return Advice(None, None, None, f"Nothing to reckon with: {lacking}.")
    seconds = measured.remaining / measured.rate
    each = measured.rate / measured.transformers
    needed = math.ceil(measured.remaining / within / each)
    if measured.waits_for not in (None, Stage.TRANSFORM) and needed > measured.transformers:
        words = (
            f"Messages wait for the stage {measured.waits_for}: more of it first. More transformers bring nothing "
            "while another stage is what holds the run up."
        )
    elif needed > measured.transformers:
        words = f"Run {needed} transformers, {needed - measured.transformers} more than now."
    elif needed < measured.transformers:
        words = f"{needed} of the {measured.transformers} transformers would do."
    else:
        words = "As many as there are now."
    return Advice(needed, seconds, each, words)
