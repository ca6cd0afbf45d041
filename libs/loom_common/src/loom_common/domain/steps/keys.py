"""Defines the keys that every step of `transform.steps` has, and the steps that only decide: filters and routers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal, get_args

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from loom_common.domain.section import Mistake, Section, mistake, said

Phase = Literal["staging", "profiling", "enrichment", "quality"]
PHASES: tuple[str, ...] = get_args(Phase)
"""Names the phases in their order: what is of a later one begins when every step of an earlier one has ended."""
Criticality = Literal["critical", "required", "optional"]
_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_-]{0,59}$")


def is_name(value: Any) -> bool:
    """Tell whether a step or a branch may have this name."""
    return isinstance(value, str) and _NAME.match(value) is not None


class StepKeys(Section):
    """Holds the keys that every step has."""

    name: str = Field(description="By which other steps, reports and commands know it. Letters, digits, `_` and `-`.")
    needs: list[str] = Field(
        default_factory=list,
        description="Steps that come before it, whose outputs it sees as fields: `[classify]`; of a router one "
        "branch: `[triage.complaint]`. Steps that do not need each other run at the same time.",
    )
    when: str | None = Field(
        None,
        description="An expression over the record, e.g. `rating < 3`: the step passes by records it is not true of.",
    )
    scope: Literal["record"] = Field("record", description="What the step looks at: one record at a time.")
    phase: Phase | None = Field(
        None, description="A step of a later phase begins when those of earlier ones have ended, and sees their fields."
    )
    criticality: Criticality = Field(
        "required",
        description="What a failure of the step means: `critical` fails the run, `required` the record, as "
        "`on_failure` says, `optional` is counted, and the record goes on without the output of the step.",
    )

    @field_validator("needs", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("name")
    @classmethod
    def _speakable(cls, value: str) -> str:
        if not is_name(value):
            raise PydanticCustomError("step_name", "a name of at most 60 letters, digits, `_` and `-`, first a letter")
        return value


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


DECIDING: dict[str, type[StepKeys]] = {"filter": FilterStep, "router": RouterStep}
"""Holds the steps that make no output, by their `type`."""
