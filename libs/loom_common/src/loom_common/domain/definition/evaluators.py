"""Defines the settings of each evaluator that Loom brings. How they score is the evaluator service's."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from loom_common.domain.definition.judge_cascade import JudgeCascadeConfig, with_cheap_judge
from loom_common.domain.json_values.patterns import PatternText
from loom_common.domain.model_options.criteria import Criteria
from loom_common.domain.section import FunctionRef, Mistake, SecretRef, Section, WebLocation, mistake, said
from loom_common.domain.values.durations import Limit


class Evaluator(Section):
    """Holds the settings of every evaluator."""

    name: str = Field("", max_length=100, description="Tells evaluators of one type apart. Default: the type.")
    threshold: float | None = Field(None, ge=0, le=1, description="The score to reach (inclusive).")
    weight: float = Field(1.0, gt=0, description="Share in a weighted gate.")
    field: str | None = Field(
        None, description="The output field looked at. Default: the only field, or the whole output as JSON."
    )
    calibration: str | None = Field(
        None,
        min_length=1,
        description="A file that `loom bench calibrate` wrote: the score is turned into the probability of a pass.",
    )

    @classmethod
    def long_form(cls, written: Any) -> Any:
        if isinstance(written, Mapping) and not written.get("name") and isinstance(written.get("type"), str):
            return {**written, "name": written["type"]}
        return written


class ExactMatch(Evaluator):
    """Gives 1.0 where the output equals the reference, else 0.0."""

    type: Literal["exact_match"]
    reference_field: str = Field(description="The input field that holds the expected value.")
    case_sensitive: bool = Field(True, description="Whether `Yes` and `yes` differ.")


class Contains(Evaluator):
    """Gives the share of the given texts that the output contains."""

    type: Literal["contains"]
    values: list[str] = Field([], description="Texts to look for.")
    reference_field: str | None = Field(None, description="An input field whose text to look for.")
    case_sensitive: bool = Field(False, description="Whether `Yes` and `yes` differ.")

    @classmethod
    def mistakes(cls, written: Mapping[str, Any]) -> Iterable[Mistake]:
        """At least one text is required."""
        if not said(written, "values") and said(written, "reference_field") is None:
            yield mistake((), "missing_for_type", "`values` or `reference_field`, which contains needs", written)


class Regex(Evaluator):
    """Gives 1.0 where the pattern is found in the output, else 0.0."""

    type: Literal["regex"]
    pattern: PatternText = Field(
        description="A Python regular expression, searched anywhere; anchor it to match the whole."
    )


class JsonSchema(Evaluator):
    """Gives 1.0 where the output (or field) is valid under the JSON Schema, else 0.0 with the first violation as
    explanation."""

    type: Literal["json_schema"]
    json_schema: dict[str, Any] = Field(alias="schema", description="A JSON Schema (draft 2020-12).")

    @field_validator("json_schema")
    @classmethod
    def _is_one(cls, value: dict[str, Any]) -> dict[str, Any]:
        import jsonschema  # here, because most pipelines need none of it, and it takes long

        try:
            jsonschema.Draft202012Validator.check_schema(value)
        except jsonschema.SchemaError as error:
            at = ".".join(map(str, error.absolute_path))
            words = f"at {at}: {error.message}" if at else error.message
            raise PydanticCustomError("json_schema", "a valid JSON Schema ({why})", {"why": words}) from error
        return value


def _bounds(written: Mapping[str, Any]) -> Iterable[Mistake]:
    least, most = said(written, "min"), said(written, "max")
    if isinstance(least, int | float) and isinstance(most, int | float) and least > most:
        yield mistake(("max",), "bounds", f"{least:g} or more, as `min` says", most)


class Range(Evaluator):
    """Gives 1.0 where a numeric output field lies in [min, max], else 0.0."""

    type: Literal["range"]
    min: float | None = Field(None, description="Inclusive.")
    max: float | None = Field(None, description="Inclusive.")

    @classmethod
    def mistakes(cls, written: Mapping[str, Any]) -> Iterable[Mistake]:
        """`min` must not be above `max`."""
        return _bounds(written)


class Length(Evaluator):
    """Gives 1.0 where the length in characters (or items of a list) lies in [min, max], else 0.0."""

    type: Literal["length"]
    min: int | None = Field(None, ge=0, description="Inclusive.")
    max: int | None = Field(None, ge=0, description="Inclusive.")

    @classmethod
    def mistakes(cls, written: Mapping[str, Any]) -> Iterable[Mistake]:
        """`min` must not be above `max`."""
        return _bounds(written)


class PythonEvaluator(Evaluator):
    """Gives the score that your function returns."""

    type: Literal["python"]
    function: FunctionRef = Field(
        description="`module:name` of `def f(output: dict, record: dict) -> float`; or `(score, explanation)`.",
    )
    timeout: Limit = Field("30s", description="What one record may take. Past it: an evaluator error.")


class EmbeddingSimilarity(Evaluator):
    """Measures how similar output and reference are in topic: the cosine of their vectors from a small model in the
    worker. It makes no model call and costs nothing. It is made for English, and hardly distinguishes a statement from
    its opposite."""

    type: Literal["embedding_similarity"]
    reference_field: str = Field(description="The input field that holds the expected text.")


PREVIOUS_RUN = "previous_run"
_RUN = re.compile(r"\Arun_[0-9a-f]{12}\Z")
_TIMEOUT = "What one answer may take; past it, it is asked for again later. Default: its provider's, else {}."


class ModelJudged(Evaluator):
    """Holds the settings of every evaluator that calls a model. The Arbiter library writes the question and reads the
    answer."""

    model: str | None = Field(None, description="The model that judges. Default: `evaluate.model`.")
    base_url: WebLocation | None = Field(None, description="Its endpoint. Default: `evaluate.base_url`.")
    api_key: SecretRef | None = Field(None, description="A credential reference. Default: `evaluate.api_key`.")
    temperature: float | None = Field(0.0, ge=0, le=2, description="Sampling temperature; null leaves it to the model.")
    max_tokens: int | None = Field(
        None, ge=1, description="The longest answer. A small model may ramble on: past it, it is an evaluator error."
    )
    timeout: Limit | None = Field(None, description=_TIMEOUT.format("30s"))
    cascade: JudgeCascadeConfig | None = Field(
        None, description="A cheap evaluator that scores first; `model` is asked only where that score does not decide."
    )
    usual_timeout: ClassVar[str] = "30s"
    """The timeout of a call where neither the evaluator nor its provider sets one."""

    @classmethod
    def long_form(cls, written: Any) -> Any:
        return with_cheap_judge(Evaluator.long_form(written))


class Semantic(ModelJudged):
    """Measures how much of the reference's meaning the output has."""

    type: Literal["semantic"]
    reference_field: str = Field(description="The input field that holds the expected text.")
    timeout: Limit | None = Field(None, description=_TIMEOUT.format("15s"))
    usual_timeout: ClassVar[str] = "15s"


class CustomCriteria(ModelJudged):
    """Measures how well the output meets criteria in your own words."""

    type: Literal["custom_criteria"]
    criteria: Criteria = Field(description="What to judge by: a text, or a list of texts.")
    reference_field: str | None = Field(None, description="An input field that the judge sees as context.")


class Factuality(ModelJudged):
    """Gives the share of the output's claims that are true: by the source, else by what the model knows."""

    type: Literal["factuality"]
    source_field: str | None = Field(None, description="The input field that holds the truth.")
    criteria: Criteria | None = Field(None, description="Without a source: which claims to look at.")
    timeout: Limit | None = Field(None, description=_TIMEOUT.format("45s"))
    usual_timeout: ClassVar[str] = "45s"

    @classmethod
    def mistakes(cls, written: Mapping[str, Any]) -> Iterable[Mistake]:
        """Check that `source` and `criteria` exclude each other."""
        if said(written, "source_field") is not None and said(written, "criteria") is not None:
            expected = "no `criteria` beside `source_field`: the source decides"
            yield mistake(("criteria",), "strange_for_type", expected, said(written, "criteria"))


class Groundedness(ModelJudged):
    """Gives the share of the output's statements that the source supports."""

    type: Literal["groundedness"]
    source_field: str = Field(description="The input field that holds the source: the document, the passages found.")
    criteria: Criteria | None = Field(None, description="Which statements to look at.")
    timeout: Limit | None = Field(None, description=_TIMEOUT.format("45s"))
    usual_timeout: ClassVar[str] = "45s"


class Relevance(ModelJudged):
    """Measures how completely and precisely the output answers the query."""

    type: Literal["relevance"]
    query_field: str = Field(description="The input field that holds the question.")
    criteria: Criteria | None = Field(None, description="What to look at most.")


class Pairwise(ModelJudged):
    """Judges whether the output is better than a baseline: 0.9 for better, 0.5 for a tie, 0.1 for worse, each moved
    towards 0.5 by the judge's uncertainty."""

    type: Literal["pairwise"]
    baseline_field: str | None = Field(None, description="The input field that holds the other answer.")
    baseline: str | None = Field(
        None,
        description="Instead: what an earlier run made of the same record. `previous_run`: the pipeline's run before; "
        "or a run's id. Without an output there: a tie.",
    )
    criteria: Criteria | None = Field(None, description="What to compare by.")

    @classmethod
    def mistakes(cls, written: Mapping[str, Any]) -> Iterable[Mistake]:
        """Exactly one baseline is required."""
        if (said(written, "baseline_field") is None) == (said(written, "baseline") is None):
            yield mistake((), "missing_for_type", "one of `baseline_field` and `baseline: previous_run`", written)

    @field_validator("baseline")
    @classmethod
    def _a_run(cls, value: str | None) -> str | None:
        if value is not None and value != PREVIOUS_RUN and not _RUN.match(value):
            raise PydanticCustomError(
                "strange_for_type", "`previous_run`, or the id of a run (`run_` and 12 letters or digits)"
            )
        return value
