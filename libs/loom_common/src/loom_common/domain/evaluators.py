"""The evaluators a pipeline may name, each with its settings. How they score is the evaluator service's."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from loom_common.domain.durations import Limit
from loom_common.domain.section import Location, SecretRef

_Text = Annotated[str, Field(min_length=1)]
Criteria = _Text | Annotated[list[_Text], Field(min_length=1)]
"""What a judge goes by, in words."""


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


class EmbeddingSimilarity(_Evaluator):
    """How much output and reference are about the same: the cosine of their vectors by a small model in the worker.
    It asks nobody and costs nothing; it is made for English, and hardly tells a statement from its opposite."""

    type: Literal["embedding_similarity"]
    reference_field: str = Field(description="The input field that holds the expected text.")


PREVIOUS_RUN = "previous_run"
_RUN = re.compile(r"\Arun_[0-9a-f]{12}\Z")
_TIMEOUT = "What one answer may take; past it, it is asked for again later. Default: its provider's, else {}."


class ModelJudged(_Evaluator):
    """What every evaluator that asks a model has. Arbiter words the question and reads the answer."""

    model: str | None = Field(None, description="The model that judges. Default: `evaluate.model`.")
    base_url: Location | None = Field(None, description="Its endpoint. Default: `evaluate.base_url`.")
    api_key: SecretRef | None = Field(None, description="A credential reference. Default: `evaluate.api_key`.")
    temperature: float | None = Field(0.0, ge=0, le=2, description="Sampling temperature; null leaves it to the model.")
    max_tokens: int | None = Field(
        None, ge=1, description="The longest answer. A small model may ramble on: past it, it is an evaluator error."
    )
    timeout: Limit | None = Field(None, description=_TIMEOUT.format("30s"))
    usual_timeout: ClassVar[str] = "30s"
    """What one answer may take, where neither the evaluator nor its provider says."""


class Semantic(ModelJudged):
    """How much of the reference's meaning the output has."""

    type: Literal["semantic"]
    reference_field: str = Field(description="The input field that holds the expected text.")
    timeout: Limit | None = Field(None, description=_TIMEOUT.format("15s"))
    usual_timeout: ClassVar[str] = "15s"


class CustomCriteria(ModelJudged):
    """How well the output meets criteria in your own words."""

    type: Literal["custom_criteria"]
    criteria: Criteria = Field(description="What to judge by: a text, or a list of texts.")
    reference_field: str | None = Field(None, description="An input field that the judge sees as context.")


class Factuality(ModelJudged):
    """The share of the output's claims that are true: by the source, else by what the model knows."""

    type: Literal["factuality"]
    source_field: str | None = Field(None, description="The input field that holds the truth.")
    criteria: Criteria | None = Field(None, description="Without a source: which claims to look at.")
    timeout: Limit | None = Field(None, description=_TIMEOUT.format("45s"))
    usual_timeout: ClassVar[str] = "45s"

    @model_validator(mode="after")
    def _one_view(self) -> Self:
        if self.source_field is not None and self.criteria is not None:
            raise PydanticCustomError("strange_for_type", "no `criteria` beside `source_field`: the source decides")
        return self


class Groundedness(ModelJudged):
    """The share of the output's statements that the source supports."""

    type: Literal["groundedness"]
    source_field: str = Field(description="The input field that holds the source: the document, the passages found.")
    criteria: Criteria | None = Field(None, description="Which statements to look at.")
    timeout: Limit | None = Field(None, description=_TIMEOUT.format("45s"))
    usual_timeout: ClassVar[str] = "45s"


class Relevance(ModelJudged):
    """How fully, and how much to the point, the output answers the query."""

    type: Literal["relevance"]
    query_field: str = Field(description="The input field that holds the question.")
    criteria: Criteria | None = Field(None, description="What to look at most.")


class Pairwise(ModelJudged):
    """Whether the output is better than a baseline: 0.9 for better, 0.5 for a tie, 0.1 for worse, each drawn towards
    0.5 by a judge that is not sure."""

    type: Literal["pairwise"]
    baseline_field: str | None = Field(None, description="The input field that holds the other answer.")
    baseline: str | None = Field(
        None,
        description="Instead: what an earlier run made of the same record. `previous_run`: the pipeline's run before; "
        "or a run's id. Without an output there: a tie.",
    )
    criteria: Criteria | None = Field(None, description="What to compare by.")

    @model_validator(mode="after")
    def _one_baseline(self) -> Self:
        if (self.baseline_field is None) == (self.baseline is None):
            raise PydanticCustomError("missing_for_type", "one of `baseline_field` and `baseline: previous_run`")
        return self

    @field_validator("baseline")
    @classmethod
    def _a_run(cls, value: str | None) -> str | None:
        if value is not None and value != PREVIOUS_RUN and not _RUN.match(value):
            raise PydanticCustomError(
                "strange_for_type", "`previous_run`, or the id of a run (`run_` and 12 letters or digits)"
            )
        return value


EvaluatorConfig = Annotated[
    ExactMatch
    | Contains
    | Regex
    | JsonSchema
    | Range
    | Length
    | PythonEvaluator
    | EmbeddingSimilarity
    | Semantic
    | CustomCriteria
    | Factuality
    | Groundedness
    | Relevance
    | Pairwise,
    Field(discriminator="type"),
]
