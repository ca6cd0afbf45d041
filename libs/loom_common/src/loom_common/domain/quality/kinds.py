"""Defines the quality checks that a pipeline may name, by their `check`."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, ValidationError
from pydantic_core import InitErrorDetails

from loom_common.domain.chosen_model import ChosenModel
from loom_common.domain.json_values.patterns import PatternText
from loom_common.domain.quality.bounds import Bound, less, readable_bound
from loom_common.domain.quality.check import ColumnCheck, QualityCheck, RecordCheck, RunCheck
from loom_common.domain.section import Location, Mistake, mistake, mistakes_in, refusal, said
from loom_common.domain.values.durations import Limit
from loom_common.domain.values.near import closest
from loom_common.domain.values.zones import ZoneName


class NotNull(ColumnCheck):
    """Demands a value: the field is there, is not null, and is no empty text."""

    check: Literal["not_null"]


class Unique(RecordCheck):
    """Demands that no two records of a run have the same value. The first one that passes the other checks has it; each
    later one misses the check."""

    check: Literal["unique"]
    column: str | list[str] = Field(min_length=1, description="The field, or the fields that are compared together.")

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,) if isinstance(self.column, str) else tuple(self.column)

    @property
    def label(self) -> str:
        return f"{'_'.join(self.columns)}_unique"


class Regex(ColumnCheck):
    """Demands that a pattern is found in the value, written as text."""

    check: Literal["regex"]
    pattern: PatternText = Field(
        description="A Python regular expression, searched anywhere; anchor it to match the whole."
    )


class Range(ColumnCheck):
    """Demands a number, or a date or time, within bounds. Text that reads as one counts as one."""

    check: Literal["range"]
    min_value: Bound | None = Field(None, description="The least value: a number, or an ISO 8601 date or time.")
    max_value: Bound | None = Field(None, description="The greatest value.")

    @classmethod
    def mistakes(cls, written: Mapping[str, Any]) -> Iterable[Mistake]:
        """At least one bound is required, and both must be of one kind and in order."""
        yield from super().mistakes(written)
        yield from in_order(written, "min_value", "max_value", "range")


class Enum(ColumnCheck):
    """Demands one of the listed values. `1` and `"1"` are two values."""

    check: Literal["enum"]
    values: list[Any] = Field(min_length=1, description="The values that may occur.")
    case_sensitive: bool = Field(True, description="Whether `Yes` and `yes` differ.")


TypeName = Literal["string", "integer", "number", "boolean", "date", "datetime", "object", "array"]


class Type(ColumnCheck):
    """Demands a value of a type."""

    check: Literal["type"]
    type: TypeName = Field(description="The type.")
    strict: bool = Field(
        False, description="Whether text that reads as a number or a boolean, as in a CSV file, is refused."
    )


class Length(ColumnCheck):
    """Demands a length: characters of a text, items of a list."""

    check: Literal["length"]
    min: int | None = Field(None, ge=0, description="The least length.")
    max: int | None = Field(None, ge=0, description="The greatest length.")

    @classmethod
    def mistakes(cls, written: Mapping[str, Any]) -> Iterable[Mistake]:
        """At least one bound is required, and both must be in order."""
        yield from super().mistakes(written)
        yield from in_order(written, "min", "max", "length")


class Reference(ColumnCheck):
    """Demands that the value exists in another source, which is read once by each process."""

    check: Literal["reference"]
    source: Location = Field(description="The other source, written as `extract.source`.")
    query: str | None = Field(None, description="SQL, where the other source is a database.")
    field: str | None = Field(None, description="The field of the other source. Default: that of `column`.")
    options: dict[str, Any] = Field(default_factory=dict, description="Settings of the other source's connector.")

    @property
    def there(self) -> str:
        """Return the field of the other source."""
        return self.field or self.column


class Custom(RecordCheck):
    """Asks a function of yours, `def check(value)`: it returns whether the value holds, or a pair of that and a reason.
    Without a `column` it is given the whole record."""

    check: Literal["custom"]
    function: str = Field(min_length=1, description="`module:name`, or a name that was registered.")
    column: str | None = Field(None, description="The field whose value the function is given.")

    @property
    def columns(self) -> tuple[str, ...]:
        return () if self.column is None else (self.column,)

    @property
    def label(self) -> str:
        return f"{self.column or 'record'}_{self.function.rpartition(':')[2]}"


class OfOntology(RecordCheck):
    """Demands a rule of the pipeline's `ontology`. A record that lacks a field for a concept of the rule holds it.
    Loom adds such a check for each rule of the ontology; one that stands here says what else follows from it."""

    check: Literal["ontology"]
    rule: str = Field(min_length=1, description="The name of the rule; of a metric, `METRIC_as_computed`.")

    @property
    def label(self) -> str:
        return self.rule


class RowCount(RunCheck):
    """Demands a number of records over the whole run. A replay and a run with `--sample` are not judged by it."""

    check: Literal["row_count"]
    min: int | None = Field(None, ge=0, description="The least number of records.")
    max: int | None = Field(None, ge=0, description="The greatest number of records.")

    @classmethod
    def mistakes(cls, written: Mapping[str, Any]) -> Iterable[Mistake]:
        """At least one bound is required, and both must be in order."""
        yield from in_order(written, "min", "max", "row_count")


class Freshness(RunCheck):
    """Demands that the newest time in a field is not too old when the run begins. A replay and a run with `--sample`
    are not judged by it."""

    check: Literal["freshness"]
    column: str = Field(min_length=1, description="The field that holds a date or a time, as ISO 8601.")
    max_age: Limit = Field(description="How old the newest time may be: `30m`, `12h`, `7d`.")
    zone: ZoneName | None = Field(
        None, description="The time zone of times that name none, e.g. `Europe/Berlin`. Without it they do not count."
    )

    @property
    def label(self) -> str:
        return f"{self.column}_freshness"


AnyCheck = (
    NotNull | Unique | Regex | Range | Enum | Type | Length | Reference | Custom | OfOntology | RowCount | Freshness
)
CHECKS: dict[str, type[QualityCheck]] = {
    get_args(model.model_fields["check"].annotation)[0]: model for model in get_args(AnyCheck)
}
"""Holds the model of each check by its `check`."""


def in_order(written: Mapping[str, Any], least: str, greatest: str, kind: str) -> Iterable[Mistake]:
    """Yield a mistake where both bounds are missing, are of two kinds, or are not in order."""
    low, high = said(written, least), said(written, greatest)
    if low is None and high is None:
        yield mistake((), "missing_for_type", f"`{least}` or `{greatest}`, which {kind} needs", written)
        return
    if low is None or high is None:
        return
    try:
        wrong = less(readable_bound(high), readable_bound(low))
    except (TypeError, ValueError):
        yield mistake((greatest,), "strange_for_type", f"a value of the kind of `{least}`", high)
        return
    if wrong:
        yield mistake((greatest,), "strange_for_type", f"no less than `{least}` ({low})", high)


def _of_its_kind(written: Any, any_kind: Callable[[Any], Any]) -> Any:
    """Read a check by the model of its `check`, so that its mistakes are only those of that model."""
    if not isinstance(written, Mapping):
        return any_kind(written)
    kind = written.get("check")
    model = CHECKS.get(kind) if isinstance(kind, str) else None
    if model is None:
        known = ", ".join(f"'{each}'" for each in CHECKS)
        if kind is None and (near := closest("check", [str(key) for key in written])) is not None:
            misspelt = InitErrorDetails(type="extra_forbidden", loc=(near,), input=written.get(near))
            raise refusal("quality_check", [misspelt])
        if kind is None:
            raise refusal("quality_check", [mistake((), "missing_for_type", f"`check`: one of {known}", written)])
        unknown = InitErrorDetails(type="literal_error", loc=("check",), input=kind, ctx={"expected": known})
        raise refusal("quality_check", [unknown])
    try:
        return model.model_validate(written)
    except ValidationError as error:
        raise refusal("quality_check", mistakes_in(error, str(kind))) from error


CheckConfig = Annotated[AnyCheck, ChosenModel(_of_its_kind)]
"""A quality check as a pipeline file has it."""


def named(checks: Sequence[QualityCheck]) -> list[tuple[str, QualityCheck]]:
    """Return the checks of one stage with their names, each of which occurs once: the second of two checks without a
    name of their own gets a number."""
    taken = {check.name for check in checks if check.name}
    found = []
    for check in checks:
        name, number = check.name or check.label[:90], 2
        while not check.name and name in taken:
            name, number = f"{check.label[:90]}_{number}", number + 1
        taken.add(name)
        found.append((name, check))
    return found


def name_mistakes(written: Any) -> Iterable[Mistake]:
    """Yield a mistake for each name that two checks of a stage are given."""
    names: set[str] = set()
    for position, each in enumerate(written if isinstance(written, list | tuple) else ()):
        name = said(each, "name")
        if isinstance(name, str) and name in names:
            expected = f"a different `name` for each check ({name} stands twice)"
            yield mistake(("quality_checks", position, "name"), "duplicate_names", expected, name)
        if isinstance(name, str) and name:
            names.add(name)
