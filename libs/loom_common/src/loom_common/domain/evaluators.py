"""The evaluators a pipeline may name, each with its settings. How they score is the evaluator service's."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from loom_common.domain.durations import Limit


class _Evaluator(BaseModel):
    """What every evaluator has."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field("", max_length=100, description="Tells evaluators of one type apart. Default: the type.")
    threshold: float | None = Field(None, ge=0, le=1, description="The score to reach (inclusive).")
    weight: float = Field(1.0, gt=0, description="Share in a weighted gate.")
    field: str | None = Field(
        None, description="The output field looked at. Default: the only field, or the whole output as JSON."
    )

    @model_validator(mode="before")
    @classmethod
    def _named_by_type(cls, value: Any) -> Any:
        if isinstance(value, dict) and not value.get("name"):
            return {**value, "name": value.get("type", "")}
        return value


class ExactMatch(_Evaluator):
    """1.0 where the output equals the reference, else 0.0."""

    type: Literal["exact_match"]
    reference_field: str = Field(description="The input field that holds the expected value.")
    case_sensitive: bool = Field(True, description="Whether `Yes` and `yes` differ.")


class Contains(_Evaluator):
    """The share of the given texts that the output contains."""

    type: Literal["contains"]
    values: list[str] = Field(default_factory=list, description="Texts to look for.")
    reference_field: str | None = Field(None, description="An input field whose text to look for.")
    case_sensitive: bool = Field(False, description="Whether `Yes` and `yes` differ.")

    @model_validator(mode="after")
    def _something_to_find(self) -> Self:
        if not self.values and self.reference_field is None:
            raise PydanticCustomError("missing_for_type", "`values` or `reference_field`, which contains needs")
        return self


class Regex(_Evaluator):
    """1.0 where the pattern is found in the output, else 0.0."""

    type: Literal["regex"]
    pattern: str = Field(description="A Python regular expression, searched anywhere; anchor it to match the whole.")

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise PydanticCustomError("regex", "a regular expression ({why})", {"why": str(error)}) from error
        return value


class JsonSchema(_Evaluator):
    """1.0 where the output (or field) fits the JSON Schema, else 0.0 with the first misfit as explanation."""

    type: Literal["json_schema"]
    json_schema: dict[str, Any] = Field(alias="schema", description="A JSON Schema (draft 2020-12).")


class Range(_Evaluator):
    """1.0 where a numeric output field lies in [min, max], else 0.0."""

    type: Literal["range"]
    min: float | None = Field(None, description="Inclusive.")
    max: float | None = Field(None, description="Inclusive.")


class Length(_Evaluator):
    """1.0 where the length in characters (or items of a list) lies in [min, max], else 0.0."""

    type: Literal["length"]
    min: int | None = Field(None, ge=0, description="Inclusive.")
    max: int | None = Field(None, ge=0, description="Inclusive.")


class PythonEvaluator(_Evaluator):
    """Your function's score."""

    type: Literal["python"]
    function: str = Field(
        pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$",
        description="`module:name` of `def f(output: dict, record: dict) -> float`; or `(score, explanation)`.",
    )
    timeout: Limit = Field("30s", description="What one record may take. Past it: an evaluator error.")


EvaluatorConfig = Annotated[
    ExactMatch | Contains | Regex | JsonSchema | Range | Length | PythonEvaluator, Field(discriminator="type")
]
