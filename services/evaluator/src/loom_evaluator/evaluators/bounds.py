"""Implements evaluators of size: `range` and `length`."""

from __future__ import annotations

import math
from typing import Any

from loom_common.contracts.v1 import TransformedRecord
from loom_common.domain.definition import evaluators as config
from loom_common.domain.values.plural import counted
from loom_evaluator.evaluators.fields import output_value, single_value, text_of
from loom_evaluator.evaluators.opinion import YES, Opinion, Rule, cannot_score, no


def in_range(settings: config.Range) -> Rule:
    """Give 1 where the number lies in [min, max]. A number written as text, as CSV files have them, is a number."""

    def rule(record: TransformedRecord) -> Opinion:
        number = _number(single_value(record, settings.field))
        return _within(number, settings.min, settings.max, f"{number:g}")

    return rule


def length(settings: config.Length) -> Rule:
    """Give 1 where the number of characters, or of a list's items, lies in [min, max]."""

    def rule(record: TransformedRecord) -> Opinion:
        value = output_value(record, settings.field)
        if value is None:
            raise cannot_score("the value is null and has no length")
        size, unit = (len(value), "item") if isinstance(value, list) else (len(text_of(value)), "character")
        return _within(size, settings.min, settings.max, counted(size, unit))

    return rule


def _number(value: Any) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except OverflowError:  # an integer beyond all 64-bit numbers
        number = math.inf if value > 0 else -math.inf
    except (TypeError, ValueError):
        number = math.nan
    if math.isnan(number):
        raise cannot_score(f"{value!r:.80} is no number")
    return number


def _within(size: float, least: float | None, most: float | None, shown: str) -> Opinion:
    if least is not None and size < least:
        return no(f"{shown} is less than {least:g}")
    if most is not None and size > most:
        return no(f"{shown} is more than {most:g}")
    return YES
