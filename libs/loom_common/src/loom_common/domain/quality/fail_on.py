"""Defines the `fail_on` limits: how many records may not be loaded before a run counts as failed for its caller, such
as a CI job.

A limit changes the exit code of the command, and not the run: records that passed are loaded."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from loom_common.domain.values.plural import counted

COUNTS: Mapping[str, tuple[str, ...]] = {
    "rejected": ("rejected",),
    "quarantined": ("quarantined",),
    "skipped": ("skipped",),
    "cancelled": ("cancelled",),
    "failed": ("quarantined", "skipped"),
    "kept": ("rejected", "quarantined", "skipped"),
}
"""Holds the limits, and the counts of the report that each one adds up."""
_WRITTEN = re.compile(r"(?P<number>\d+(?:\.\d+)?)(?P<percent>%?)")


@dataclass(frozen=True, slots=True)
class Allowed:
    """Describes a limit as a number of records, or as a share of the extracted ones."""

    amount: float
    is_share: bool

    @staticmethod
    def of(written: object) -> Allowed:
        """Read `5` (records), or `0.2` or `20%` (a share). Raises `ValueError` with what was expected."""
        text = str(written).strip()
        match = None if isinstance(written, bool) else _WRITTEN.fullmatch(text)
        if match is None:
            raise ValueError("a number of records, e.g. 5, or a share of them, e.g. 0.2 or 20%")
        number, percent = float(match["number"]), bool(match["percent"])
        if not percent and "." not in text:
            return Allowed(number, is_share=False)
        share = number / 100 if percent else number
        if share > 1:
            raise ValueError("a share from 0 to 1, or from 0% to 100%; a number of records has no decimal point")
        return Allowed(share, is_share=True)

    def passed_by(self, found: int, extracted: int) -> bool:
        """Say whether `found` of `extracted` records exceed the limit."""
        # A share that equals the limit in decimal must not exceed it because of its binary representation.
        return round(found - self.amount * extracted, 9) > 0 if self.is_share else found > self.amount

    def __str__(self) -> str:
        return f"{self.amount:.10%}".rstrip("%").rstrip("0").rstrip(".") + "%" if self.is_share else f"{self.amount:g}"


def passed(limits: Mapping[str, str], records: Mapping[str, int]) -> list[str]:
    """Return a sentence for each limit that a run's counts exceed."""
    extracted = records.get("extracted", 0)
    words = []
    for name, written in limits.items():
        allowed, found = Allowed.of(written), sum(records.get(each, 0) for each in COUNTS[name])
        if allowed.passed_by(found, extracted):
            share = f" ({found / extracted:.1%})" if extracted else ""
            words.append(f"{name}: {found:,} of {counted(extracted, 'record')}{share}; fail_on allows {allowed}")
    return words


def checked(written: Any) -> Any:
    """Return the limits in their stored form, such as `20%` or `5`. Raises `PydanticCustomError` for an invalid one."""
    if not isinstance(written, Mapping):
        return written
    limits = {}
    for name, value in written.items():
        if name not in COUNTS:
            raise PydanticCustomError("fail_on_name", "one of {names}", {"names": ", ".join(COUNTS)})
        try:
            limits[name] = str(Allowed.of(value))
        except ValueError as error:
            words = {"name": name, "words": str(error), "found": str(value)}
            raise PydanticCustomError("fail_on_value", "for `{name}` {words}, not {found}", words) from None
    return limits


FailOn = Annotated[dict[str, str], BeforeValidator(checked)]
"""Holds the limits by name, as the pipeline file has them."""
