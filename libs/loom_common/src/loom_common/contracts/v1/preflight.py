"""Defines the parts of messages that say what was found before a run."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Self

from pydantic import Field

from loom_common.contracts.envelope import Part
from loom_common.text import storable, storable_value

if TYPE_CHECKING:
    from loom_common.domain.checks.check import Check
    from loom_common.domain.checks.columns import ColumnRow


class PreflightCheck(Part):
    """Describes what was checked before a run."""

    what: str = Field(description="`credentials`, `source`, `fields`, `models`, `destination` and so on.")
    ok: bool
    detail: str
    doubtful: bool = Field(False, description="Whether it may be a mistake that does not stand in the way of a run.")

    @classmethod
    def of(cls, check: "Check") -> Self:
        """Return a check with all there is to say where it stands in the way of a run."""
        detail = check.detail if check.ok else "\n".join(check.words)
        return cls(what=check.what, ok=check.ok, detail=storable(detail), doubtful=check.doubtful)


class PreflightColumn(Part):
    """Describes one column on its way from the source to the destination, as it was compared before a run."""

    column: str
    origin: str | None = Field(description="`source`, `output` or both; null for a column that is not written.")
    in_prompt: bool
    written: str | None = Field(description="The type of what is written, where it is known.")
    there: str | None = Field(description="The type of the destination's column, where it has one.")
    done: str = Field(description="What the run does about it.")
    fits: bool

    @classmethod
    def of(cls, row: "ColumnRow") -> Self:
        """Return a row of the comparison of columns as a message holds it."""
        return cls(**storable_value(asdict(row)))


class Preflight(Part):
    """Holds what was found before a run."""

    checks: tuple[PreflightCheck, ...] = ()
    columns: tuple[PreflightColumn, ...] = ()
