"""Defines the keys that quality checks share."""

from collections.abc import Collection, Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from loom_common.domain.section import Mistake, Section, mistake, said

_LEAST = ("min_value", "min", "min_length", "min_count", "minimum")
_GREATEST = ("max_value", "max", "max_length", "max_count", "maximum")


def same_bound(key: str, known: Collection[str]) -> str | None:
    """Return the key of a check, one of `known`, for the bound that `key` names as other checks and other tools do;
    None where `key` names no bound, or the check has none."""
    names = next((names for names in (_LEAST, _GREATEST) if key in names), ())
    return next((name for name in names if name in known), None)


def _by_its_other_name(value: Any) -> Any:
    return "quarantine" if value == "dlq" else value


Action = Annotated[Literal["fail", "warn", "quarantine"], BeforeValidator(_by_its_other_name)]
"""Says what follows from a check that does not hold. `dlq` is another name of `quarantine`."""
RunAction = Literal["fail", "warn"]
"""Says what follows from a check of a whole run."""


class QualityCheck(Section):
    """Holds the keys of every quality check."""

    name: str = Field(
        "", max_length=100, description="Names the check in reports and reasons. Default: `<column>_<check>`."
    )

    @property
    def label(self) -> str:
        """Return the name that the check has where it is given none."""
        return str(said(self, "check"))


class RecordCheck(QualityCheck):
    """Holds the keys of checks that decide about each record."""

    action: Action = Field(
        "quarantine",
        description="`quarantine` (or `dlq`) keeps the record back; `fail` ends the run; `warn` counts the record and "
        "lets it through.",
    )
    max_share: float | None = Field(
        None,
        ge=0,
        le=1,
        description="The share of records that may miss the check. More of them fail the run (`warn`: the report says "
        "so). With `fail`, records that miss it go on as long as their share stays within this.",
    )
    min_share: float | None = Field(
        None, ge=0, le=1, description="The same, said of the records that hold: `0.99` is `max_share: 0.01`."
    )

    @classmethod
    def mistakes(cls, written: Mapping[str, Any]) -> Iterable[Mistake]:
        """Only one of the two shares may be given."""
        if said(written, "max_share") is not None and said(written, "min_share") is not None:
            yield mistake(
                ("min_share",), "strange_for_type", "one of `max_share` and `min_share`", written["min_share"]
            )

    @property
    def tolerated(self) -> float | None:
        """Return the share of records that may miss the check; None where no share is given."""
        if self.min_share is not None:
            return 1.0 - self.min_share
        return self.max_share

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the fields that the check reads; empty where it reads the whole record."""
        return ()


class ColumnCheck(RecordCheck):
    """Holds the keys of checks that look at one field of each record."""

    column: str = Field(min_length=1, description="The field that is checked.")

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    @property
    def label(self) -> str:
        return f"{self.column}_{said(self, 'check')}"


class RunCheck(QualityCheck):
    """Holds the keys of checks that decide about a run as a whole."""

    action: RunAction = Field("fail", description="`fail` fails the run; `warn` says so in the report.")
