"""Reads values that warehouses give alike: numbers, moments, and those that have no exact JSON form."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from loom_common.domain.json_values.exact_json import UnfitJson

_ZEROS = re.compile(r"\.0+(?=\D|$)|(\.\d*?[1-9])0+(?=\D|$)")
_SHORT_OFFSET = re.compile(r"[+-]\d\d$")


def itself(sql: str) -> str:
    """Return SQL for a value that is fetched as it is."""
    return sql


def number(value: float) -> float | str:
    """Return a floating-point number. NaN and the infinities, which JSON lacks, become text."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def moment(text: str) -> str:
    """Return a time or a moment without the zeros at the end of its fraction of a second, and with minutes in its
    offset."""
    short = _ZEROS.sub(lambda found: found[1] or "", text)
    short = f"{short[:10]}T{short[11:]}" if short[10:11] == " " else short
    return f"{short}:00" if "T" in short and _SHORT_OFFSET.search(short) else short


def unfit(kind: str) -> Callable[[Any], Any]:
    """Return how a column is read whose values have no exact JSON form: each is refused."""

    def refuse(_value: Any) -> Any:
        raise UnfitJson(f"a value of type {kind} has no exact JSON form. Cast it in extract.query.", "no_json_form")

    return refuse
