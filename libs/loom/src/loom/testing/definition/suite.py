"""Defines a file of tests: `tests/*.yaml` beside a pipeline."""

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from loom.testing.definition.expectations import (
    DistributionalExpectation,
    IntegrationExpectation,
    UnitExpectation,
)
from loom_common.domain.json_values.patterns import PatternText
from loom_common.domain.section import Location, Mistake, Section, items, mistake, said


class _Case(Section):
    name: str = Field(
        min_length=1, max_length=200, description="For people and `--filter`; one of its own in the file."
    )
    params: dict[str, Any] = Field(default_factory=dict, description="Parameters of the pipeline, for this test.")


class UnitCase(_Case):
    """One record goes in, and this is to come out."""

    type: Literal["unit"] = "unit"
    input: dict[str, Any] = Field(description="The record, as the source would give it.")
    expect: UnitExpectation


class _OverSource(_Case):
    source: Location | None = Field(
        None, description="Read this instead of the pipeline's source; a path starts at the folder of the tests."
    )
    sample: int | None = Field(None, ge=1, description="Only the first records. Default: all.")


class DistributionalCase(_OverSource):
    """Many records go in; their outputs together are compared."""

    type: Literal["distributional"]
    of: Literal["all", "passed"] = Field(
        "all", description="`all`: every output, also of records that did not pass. `passed`: of those that did."
    )
    expect: DistributionalExpectation


class IntegrationCase(_OverSource):
    """The pipeline runs from its source into a destination of its kind in a temporary place."""

    type: Literal["integration"]
    destination: Location | None = Field(
        None,
        description="Load into this instead. Needed where the pipeline loads into a server: a file, or "
        "`sqlite:///name.db?table=t`; a relative path lies in the temporary folder.",
    )
    expect: IntegrationExpectation = Field(default_factory=IntegrationExpectation)


Case = UnitCase | DistributionalCase | IntegrationCase


class Suite(Section):
    """Holds the tests of one file."""

    pipeline: str | None = Field(
        None,
        description="The pipeline's file, from the folder of this file. Default: the only one in the folder above.",
    )
    params: dict[str, Any] = Field(default_factory=dict, description="Parameters of the pipeline, for every test.")
    redact: list[PatternText] = Field(
        [], description="Patterns that are recorded as `[redacted]`, in questions and in answers."
    )
    tests: Annotated[list[Annotated[Case, Field(discriminator="type")]], Field(min_length=1)] = Field(
        description="The tests. `type` is `unit`, `distributional` or `integration`."
    )

    @field_validator("tests", mode="before")
    @classmethod
    def _unit_unless_said(cls, value: Any) -> Any:
        if not isinstance(value, list):
            return value
        return [{"type": "unit", **each} if isinstance(each, Mapping) else each for each in value]

    @classmethod
    def mistakes(cls, written: Mapping[str, Any]) -> Iterable[Mistake]:
        """Demand that each test has a name of its own."""
        seen: set[str] = set()
        for position, test in enumerate(items(written, "tests")):
            name = said(test, "name")
            if isinstance(name, str) and name in seen:
                yield mistake(("tests", position, "name"), "twice", "a name of its own for each test", name)
            seen.add(str(name))

    @field_validator("redact")
    @classmethod
    def _compile(cls, value: list[str]) -> list[str]:
        for pattern in value:
            if re.fullmatch(pattern, ""):
                raise PydanticCustomError("pattern", "a pattern that matches something: {found}", {"found": pattern})
        return value
