"""Defines the steps that are Loom's own operators on records: filters, routers, and those that make several records of
one or gather them again."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from loom_common.domain.section import Mistake, mistake, said
from loom_common.domain.steps.keys import StepKeys, is_name


class FilterStep(StepKeys):
    """Records that the expression is not true of are dropped: they are counted as filtered, and neither loaded nor
    kept."""

    type: Literal["filter"]
    where: str = Field(description="An expression over the record: what it is true of goes on, e.g. `rating != null`.")


class RouterStep(StepKeys):
    """Each record takes one branch. A step is on a branch by `needs: [ROUTER.BRANCH]`; branches join again where a step
    needs steps of several."""

    type: Literal["router"]
    routes: dict[str, str | list[Any]] = Field(
        min_length=1,
        description="By branch an expression, of which the first that is true decides; with `by` the value of that "
        "field, or a list of values.",
    )
    by: str | None = Field(
        None, min_length=1, description="A field whose value decides, such as what a model or a scorer said before."
    )
    otherwise: str | None = Field(
        None, description="The branch of records that no other branch is for. Default: such a record fails."
    )

    @field_validator("routes", mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        for name in value if isinstance(value, Mapping) else ():
            if not is_name(name):
                raise PydanticCustomError(
                    "branch_name", "names of branches of at most 60 letters, digits, `_` and `-`, first a letter"
                )
        if isinstance(value, Mapping):  # a value may be a number or a truth value
            return {name: each if isinstance(each, str | list) else [each] for name, each in value.items()}
        return value

    @classmethod
    def mistakes(cls, written: Mapping[str, Any]) -> Iterable[Mistake]:
        """Expressions decide, or values of a field do."""
        routes = said(written, "routes")
        for name, each in routes.items() if isinstance(routes, Mapping) else ():
            if said(written, "by") is None and not isinstance(each, str):
                expected = "an expression in quotes, or `by: FIELD`, whose values decide"
                yield mistake(("routes", name), "strange_for_type", expected, each)
        otherwise = said(written, "otherwise")
        if otherwise is not None and not is_name(otherwise):
            yield mistake(("otherwise",), "branch_name", "a name of letters, digits, `_` and `-`", otherwise)

    def values_of(self, branch: str) -> list[Any]:
        """Return the values of `by` that lead to a branch."""
        written = self.routes[branch]
        return list(written) if isinstance(written, list) else [written]


class _OpeningStep(StepKeys):
    """Holds the keys of steps that make several records of one."""

    into: str | None = Field(
        None, min_length=1, description="The field that holds each part. Default: `field`, whose place it takes."
    )
    number: str | None = Field(
        None, min_length=1, description="The field that holds the number of the part, from 1. Default: `FIELD_number`."
    )
    max_parts: int = Field(
        1_000, ge=1, le=100_000, description="How many records may be made of one. One that has more parts fails."
    )


class UnnestStep(_OpeningStep):
    """Makes a record of each item of a list: `lines: [a, b]` becomes a record with `lines: a` and one with `lines: b`.
    The record itself goes no further, and is counted as unnested; those made of it are counted as derived."""

    type: Literal["unnest"]
    field: str = Field(min_length=1, description="The field whose list is unnested, of the source or of a step before.")


class SplitStep(_OpeningStep):
    """Splits a text into parts that overlap, such as a document that is longer than a model reads at once, and makes a
    record of each. A `gather` step makes one record of them again."""

    type: Literal["split"]
    field: str = Field(min_length=1, description="The field whose text is split.")
    size: int = Field(ge=1, description="How long a part is at most, in the unit that `by` names.")
    by: Literal["characters", "words"] = Field(
        "characters", description="What is counted. A token of a model is about 4 characters of English text."
    )
    overlap: int = Field(0, ge=0, description="How much of the end of a part the next one repeats.")

    @classmethod
    def mistakes(cls, written: Mapping[str, Any]) -> Iterable[Mistake]:
        """A part holds more than it repeats of the one before."""
        size, overlap = said(written, "size"), said(written, "overlap")
        if isinstance(size, int) and isinstance(overlap, int) and overlap >= size:
            yield mistake(("overlap",), "too_large", f"less than `size`, which is {size}", overlap)


class GatherStep(StepKeys):
    """Makes one record again of those that an `unnest` or a `split` made of it, once all have been through the steps
    in between: fields of theirs become lists, in the order of the parts."""

    type: Literal["gather"]
    fields: dict[str, str] = Field(
        min_length=1, description="By the name of a new field, the field of the parts that its list holds."
    )


OPENING = frozenset({"unnest", "split"})
"""Names the types of steps that make several records of one."""
OPERATORS: dict[str, type[StepKeys]] = {
    "filter": FilterStep,
    "router": RouterStep,
    "unnest": UnnestStep,
    "split": SplitStep,
    "gather": GatherStep,
}
"""Holds the steps that are no transforms, by their `type`."""


def number_field(step: Any) -> str:
    """Return the field in which an opening step, as written or as a model, puts the number of a part."""
    return str(said(step, "number") or f"{said(step, 'field')}_number")


def part_field(step: Any) -> str:
    """Return the field in which an opening step, as written or as a model, puts a part."""
    return str(said(step, "into") or said(step, "field"))
