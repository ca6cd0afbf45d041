"""Defines the steps that are Loom's own operators on records: filters, routers, and those that make several records of
one or gather them again."""

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, Literal

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from loom_common.domain.section import Mistake, items, mistake, said
from loom_common.domain.steps.asking import RESOLVE
from loom_common.domain.steps.functions.aggregates import FUNCTIONS, is_aggregate
from loom_common.domain.steps.joining import JOIN, JoinStep
from loom_common.domain.steps.keys import StepKeys, is_name
from loom_common.domain.steps.resolving import ResolveStep, own_fields

GROUP = "group"
DEDUPE = "dedupe"


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


class GroupStep(StepKeys):
    """Makes one record of all records of a run that have the same values of the fields `by`, once all of them are
    there. Those go no further, and are counted as grouped; the one that is made of them is counted as derived. It has
    the fields `by` and those of `fields`, and no other."""

    type: Literal["group"]
    by: list[str] = Field(
        description="The fields whose values make a group, as text: `product`, or `[product, month]`. With `[]` all "
        "records of the run are one group."
    )
    fields: dict[str, str | dict[str, str]] = Field(
        min_length=1,
        description="By the name of a new field what it holds of the group: `count`, or a function of a field: "
        "`{mean: stars}`. Functions: count, sum, mean, min, max, first, last, list, distinct.",
    )
    size: int | None = Field(
        None,
        ge=1,
        le=100_000,
        description="Of how many records one is made at most. Of a group that has more, several are made, e.g. so that "
        "a model reads them.",
    )
    number: str | None = Field(
        None,
        min_length=1,
        description="The field that holds the number of the record among those of its group, where `size` is given. "
        "Default: `NAME_number`.",
    )
    max_items: int = Field(
        1_000,
        ge=1,
        le=100_000,
        description="How many items a list of `list` or `distinct` has at most. A group that has more fails.",
    )

    @cached_property
    def functions(self) -> Mapping[str, tuple[str, str | None]]:
        """Return `fields` by their names: the function, and the field of the records that it is of."""
        return aggregates(self)

    @field_validator("by", mode="before")
    @classmethod
    def _field_or_fields(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @classmethod
    def mistakes(cls, written: Mapping[str, Any]) -> Iterable[Mistake]:
        """Each field holds what one function says of a group, and none takes the place of another."""
        fields, by, number = said(written, "fields"), said(written, "by"), said(written, "number")
        known = [by] if isinstance(by, str) else list(by) if isinstance(by, list) else []
        known += [number_field(written)] if said(written, "size") is not None else []
        for name, each in fields.items() if isinstance(fields, Mapping) else ():
            if not is_aggregate(each):
                expected = f"`count`, or one function of a field, e.g. `{{mean: stars}}` ({', '.join(FUNCTIONS)})"
                yield mistake(("fields", name), "aggregate", expected, each)
            if name in known:
                expected = f"another name, as the record of a group has `{name}` already"
                yield mistake(("fields", name), "made_twice", expected, name)
        if number is not None and said(written, "size") is None:
            expected = "no `number` without `size`: one record is made of each group"
            yield mistake(("number",), "strange_for_type", expected, number)


class DedupeStep(StepKeys):
    """Drops the records whose values of the fields `by` another record of the run has, too: of such records the first
    that comes to the step goes on. Those that are dropped are counted as filtered. A record goes on where one of its
    values is null."""

    type: Literal["dedupe"]
    by: list[str] = Field(
        min_length=1, description="The fields whose values are compared, as text: `email`, or `[name, city]`."
    )

    @field_validator("by", mode="before")
    @classmethod
    def _field_or_fields(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value


OPENING = frozenset({"unnest", "split", RESOLVE})
"""Names the types of steps that make several records of one."""
OPERATORS: dict[str, type[StepKeys]] = {
    "filter": FilterStep,
    "router": RouterStep,
    "unnest": UnnestStep,
    "split": SplitStep,
    "gather": GatherStep,
    GROUP: GroupStep,
    DEDUPE: DedupeStep,
    JOIN: JoinStep,
    RESOLVE: ResolveStep,
}
"""Holds the steps that are no transforms, by their `type`."""


def number_field(step: Any) -> str:
    """Return the field in which an opening step, as written or as a model, puts the number of a part, or one that
    groups records the number of one among those of its group."""
    if said(step, "type") == RESOLVE:
        return own_fields(step)["number"]
    if said(step, "type") == GROUP:
        return str(said(step, "number") or f"{said(step, 'name')}_number")
    return str(said(step, "number") or f"{said(step, 'field')}_number")


def by_fields(step: Any) -> list[str]:
    """Return the fields whose values make a group, or are compared, of a step as written or as a model."""
    by = said(step, "by")
    return [by] if isinstance(by, str) else [str(each) for each in items(step, "by")]


def aggregates(step: Any) -> dict[str, tuple[str, str | None]]:
    """Return by the field of a group's record the function that makes it, and the field of the records that this is a
    function of; None for the records themselves. What is written wrongly is left out."""
    fields = said(step, "fields")
    found: dict[str, tuple[str, str | None]] = {}
    for name, each in fields.items() if isinstance(fields, Mapping) else ():
        if isinstance(each, Mapping) and is_aggregate(each):
            found[str(name)] = next(iter(each.items()))
        elif each == "count":
            found[str(name)] = ("count", None)
    return found


def part_field(step: Any) -> str:
    """Return the field in which an opening step, as written or as a model, puts a part; of one that resolves that of
    the entity's id."""
    if said(step, "type") == RESOLVE:
        return own_fields(step)["id"]
    return str(said(step, "into") or said(step, "field"))
