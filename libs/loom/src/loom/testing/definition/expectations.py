"""Defines what tests may expect: of one record, of the outputs of many, and of a whole run."""

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator
from pydantic_core import PydanticCustomError

from loom.testing.definition.bounds import Bounds
from loom_common.domain.definition.evaluators import JsonSchema
from loom_common.domain.json_values.patterns import PatternText
from loom_common.domain.section import Location, Mistake, Section, mistake
from loom_common.flow import Stage

_QUANTILE = re.compile(r"p(\d{1,2}(\.\d+)?|100)")


_Texts = Annotated[
    list[str],
    BeforeValidator(lambda written: [written] if isinstance(written, str) else written),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]


def _something(written: Mapping[str, Any], model: type[Section]) -> Iterable[Mistake]:
    if not written:
        names = [field.alias or name for name, field in model.model_fields.items()]
        yield mistake((), "missing_for_type", f"at least one of {', '.join(f'`{each}`' for each in names)}", written)


class Meaning(Section):
    """Expects the meaning of a reference, as the evaluator `semantic` judges it. The judge's answer is recorded."""

    reference: str = Field(min_length=1, description="The text whose meaning the field is to have.")
    threshold: float = Field(0.8, ge=0, le=1, description="The score to reach (inclusive).")
    model: str | None = Field(None, description="The model that judges. Default: `evaluate.model` of the pipeline.")


class Kept(Section):
    """Expects that the record is kept back, and why."""

    stage: Stage | None = Field(None, description="The stage that kept it back.")
    code: str | None = Field(None, description="The code of the reason: `invalid_output`, `not_null` ...")
    reason: PatternText | None = Field(None, description="A pattern that is found in the reason.")

    @classmethod
    def mistakes(cls, written: Mapping[str, Any]) -> Iterable[Mistake]:
        """Demand something to compare."""
        yield from _something(written, cls)


class UnitExpectation(Section):
    """Says what one record is to become. Everything that is said must hold."""

    gate: Literal["passes", "fails"] | None = Field(
        None, description="`passes`: the record would be loaded. `fails`: it would be kept back."
    )
    exact: dict[str, Any] = Field(default_factory=dict, description="Fields of the output that equal these values.")
    schema_: dict[str, Any] | None = Field(None, alias="schema", description="A JSON Schema of the whole output.")
    regex: dict[str, PatternText] = Field(
        default_factory=dict, description="Patterns that are found in these fields; anchor one to match the whole."
    )
    contains: dict[str, _Texts] = Field(
        default_factory=dict, description="Texts that these fields contain, in any case of letters."
    )
    range: dict[str, Bounds] = Field(default_factory=dict, description="Bounds of these fields, which are numbers.")
    semantic: dict[str, Meaning] = Field(
        default_factory=dict, description="The meaning of these fields, judged by a model."
    )
    scores: dict[str, Bounds] = Field(
        default_factory=dict, description="Bounds of the scores that these evaluators give."
    )
    kept: Kept | None = Field(None, description="Where and why the record is kept back.")

    @classmethod
    def mistakes(cls, written: Mapping[str, Any]) -> Iterable[Mistake]:
        """Demand something to compare."""
        yield from _something(written, cls)

    @field_validator("schema_")
    @classmethod
    def _is_one(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        return None if value is None else JsonSchema._is_one(value)


class Drift(Section):
    """Expects that a field's distribution is that of a baseline, within a tolerance."""

    test: Literal["ks", "chi_square", "psi"] | None = Field(
        None,
        description="`ks`: Kolmogorov-Smirnov, for numbers. `chi_square`: for categories. `psi`: population stability "
        "index, for both. Default: `ks` for numbers, else `chi_square`.",
    )
    max: float | None = Field(
        None, ge=0, description="The most that the distance may be. Default for `psi`: 0.2, a shift that matters."
    )
    min_p: float | None = Field(
        None,
        ge=0,
        le=1,
        description="The least p-value: below it, the difference is too large for chance. Default for `ks` and "
        "`chi_square`: 0.01.",
    )
    baseline: Location | None = Field(
        None,
        description="Compare with this field of the outputs of a run, by its id, or with this column of these rows: a "
        "file, from the folder of the tests, or a table. Default: the values that `loom test --update` stored.",
    )

    @classmethod
    def mistakes(cls, written: Mapping[str, Any]) -> Iterable[Mistake]:
        """A population stability index has no p-value."""
        if written.get("test") == "psi" and written.get("min_p") is not None:
            yield mistake(("min_p",), "strange_for_type", "`max` with psi, which has no p-value", written["min_p"])


class FieldExpectation(Section):
    """Says how the values of one field are to be distributed."""

    share: dict[str, Bounds] = Field(default_factory=dict, description="Bounds of the share of each of these values.")
    missing: Bounds | None = Field(None, description="Bounds of the share of records without a value.")
    distinct: Bounds | None = Field(None, description="Bounds of the number of different values.")
    mean: Bounds | None = Field(None, description="Bounds of the mean.")
    std: Bounds | None = Field(None, description="Bounds of the standard deviation (of the population).")
    quantiles: dict[str, Bounds] = Field(
        default_factory=dict, description="Bounds of quantiles, by name: `p5`, `p50`, `p99.9`."
    )
    entropy: Bounds | None = Field(None, description="Bounds of the entropy of the values, in bits.")
    drift: Drift | None = Field(None, description="The distance to a baseline.")

    @classmethod
    def mistakes(cls, written: Mapping[str, Any]) -> Iterable[Mistake]:
        """Demand something to compare."""
        yield from _something(written, cls)

    @field_validator("share", mode="before")
    @classmethod
    def _values_are_text(cls, value: Any) -> Any:
        """Name a value as it is counted: `true` and 3 are YAML values, and stand as texts among the values."""
        if not isinstance(value, Mapping):
            return value
        return {str(each).lower() if isinstance(each, bool) else str(each): bounds for each, bounds in value.items()}

    @field_validator("quantiles")
    @classmethod
    def _named(cls, value: dict[str, Bounds]) -> dict[str, Bounds]:
        if wrong := [name for name in value if not _QUANTILE.fullmatch(name)]:
            raise PydanticCustomError(
                "quantile", "quantiles such as p5, p50 or p99.9, not {found}", {"found": wrong[0]}
            )
        return value


class DistributionalExpectation(Section):
    """Says what the outputs of many records are to be."""

    pass_rate: Bounds | None = Field(None, description="Bounds of the share of records that pass.")
    fields: dict[str, FieldExpectation] = Field(default_factory=dict, description="How fields of outputs are spread.")
    scores: dict[str, Bounds] = Field(default_factory=dict, description="Bounds of the mean score of evaluators.")

    @classmethod
    def mistakes(cls, written: Mapping[str, Any]) -> Iterable[Mistake]:
        """Demand something to compare."""
        yield from _something(written, cls)


class IntegrationExpectation(Section):
    """Says what a run from source to destination is to come to."""

    status: Literal["succeeded", "partial", "failed"] = Field("succeeded", description="How the run ends.")
    records: dict[
        Literal[
            "extracted",
            "derived",
            "unnested",
            "grouped",
            "filtered",
            "passed",
            "loaded",
            "rejected",
            "quarantined",
            "skipped",
            "failed",
        ],
        Bounds,
    ] = Field(default_factory=dict, description="Bounds of the number of records, by what became of them.")
    columns: list[str] = Field([], description="Columns that the destination has.")
    unique: list[str] = Field([], description="Columns that identify a row there, together.")
    cost: Bounds | None = Field(None, description="Bounds of what the run costs, in USD, by the tokens recorded.")
    latency: dict[Literal["p50", "p95", "p99"], Bounds] = Field(
        default_factory=dict, description="Bounds of the seconds that an answer takes, as recorded."
    )
    duration: Bounds | None = Field(None, description="Bounds of the seconds that the run takes, as it runs here.")
    calls: Bounds | None = Field(None, description="Bounds of the number of answers that models give.")
