"""Defines the keys that every step of `transform.steps` has."""

import re
from typing import Any, Literal, get_args

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from loom_common.domain.section import Section

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
        [],
        description="Steps that come before it, whose outputs it sees as fields: `[classify]`; of a router one "
        "branch: `[triage.complaint]`. Steps that do not need each other run at the same time.",
    )
    when: str | None = Field(
        None,
        description="An expression over the record, e.g. `rating < 3`: the step passes by records it is not true of.",
    )
    scope: Literal["record", "batch"] = Field(
        "record",
        description="What the step looks at: one record at a time. A registered step may look at all records of a "
        "batch, and then says so itself.",
    )
    phase: Phase | None = Field(
        None, description="A step of a later phase begins when those of earlier ones have ended, and sees their fields."
    )
    queue: Literal["own"] | None = Field(
        None,
        description="`own`: on RabbitMQ the step runs in transformers of its own, which take its batches from "
        "`loom.transform.NAME`; see steps.md. An embedded run is not changed by it.",
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
