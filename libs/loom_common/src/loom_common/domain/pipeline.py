"""What a pipeline file says, as types. Every description here is the reference in docs/pipeline.md."""

from __future__ import annotations

import re
from typing import Any, Literal, Self

from pydantic import AliasChoices, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from loom_common.domain.durations import Duration, Limit, seconds
from loom_common.domain.evaluators import EvaluatorConfig
from loom_common.domain.failing import (
    ON_FAILURE,
    ON_FAILURE_OR_FALLBACK,
    FallbackConfig,
    OnFailure,
    OnFailureHere,
    Recovery,
    fallback_fits,
    meant_by_presence,
)
from loom_common.domain.output import OutputSpec
from loom_common.domain.params import ParamSpec
from loom_common.domain.section import FunctionRef, Location, SecretRef, Section
from loom_common.domain.timeouts import Timeouts

_NAME = re.compile(r"^[a-z][a-z0-9_-]{0,99}$")


class ExtractConfig(Recovery):
    """Where records come from."""

    source: Location = Field(
        description="A file (`data/reviews.csv`, `data/*.jsonl`), `sqlite:///path.db?table=t` or `postgres://...`."
    )
    query: str | None = Field(
        None, description="SQL for database sources. `{{ name }}` is a parameter: bound, never spliced."
    )
    key: str | list[str] | None = Field(
        None, description="The field (or fields) that identify a record. Without it: its content and position."
    )
    batch_size: int = Field(100, ge=1, le=10_000, description="Records per batch, the unit of transport.")
    options: dict[str, Any] = Field(
        default_factory=dict, description="Settings of the source's connector, e.g. `encoding`, `delimiter`."
    )
    on_failure: OnFailureHere = Field("quarantine", description=ON_FAILURE)

    @property
    def keys(self) -> tuple[str, ...]:
        """The key fields, however they were written; empty without a key."""
        if self.key is None:
            return ()
        return (self.key,) if isinstance(self.key, str) else tuple(self.key)


class CacheConfig(Section):
    """Whether results are reused between runs. Within a run they always are: no call is paid twice."""

    enabled: bool = Field(True, description="Reuse results that earlier runs paid for.")
    ttl: Duration | None = Field(
        None, description="How old a reused result may be: `30m`, `12h`, `7d`. Default: any age."
    )

    @property
    def max_age(self) -> float | None:
        """Seconds a reused result may be old; None for any age."""
        return None if self.ttl is None else seconds(self.ttl)


_KEYS_OF_TYPE: dict[str, frozenset[str]] = {
    "ai": frozenset(
        {
            *("prompt", "prompt_version", "model", "temperature", "max_tokens", "context", "cache", "base_url"),
            *("api_key", "timeout"),
        }
    ),
    "scorer": frozenset({"scorer", "field"}),
    "python": frozenset({"function"}),
    "passthrough": frozenset(),
}
_REQUIRED_OF_TYPE: dict[str, tuple[str, ...]] = {
    "ai": ("prompt", "model"),
    "scorer": ("scorer", "field"),
    "python": ("function",),
    "passthrough": (),
}


class TransformConfig(Recovery):
    """How a record's output is made from its input."""

    type: Literal["ai", "scorer", "python", "passthrough"] = Field(
        description="`ai` asks a model, `scorer` runs a local model, `python` calls yours, `passthrough` copies."
    )
    prompt: str | None = Field(
        None,
        validation_alias=AliasChoices("prompt", "prompt_path"),
        description="`ai`: a Jinja2 template, as a path or inline; it sees `input`, `context` and `params`.",
    )
    prompt_version: str | None = Field(None, description="`ai`: your name for this version. Default: its content hash.")
    model: str | None = Field(None, description="`ai`: a model name, or `openai:name`.")
    temperature: float = Field(0.0, ge=0, le=2, description="`ai`: sampling temperature.")
    max_tokens: int | None = Field(None, ge=1, description="`ai`: the longest answer, in tokens.")
    context: list[str] = Field(default_factory=list, description="`ai`: files the prompt sees as `context.<stem>`.")
    base_url: Location | None = Field(
        None, description="`ai`: an OpenAI-compatible endpoint. Default: `OPENAI_BASE_URL`, else OpenAI's."
    )
    api_key: SecretRef | None = Field(
        None, description="`ai`: a credential reference. Default: `${OPENAI_API_KEY}` where that is set."
    )
    cache: CacheConfig = Field(default_factory=CacheConfig, description="`ai`: reuse of results between runs.")
    timeout: Limit | None = Field(
        None, description="`ai`: what one question may take, e.g. `65s` for large models. Default: 35 s, 30 s unheard."
    )
    scorer: str | None = Field(None, description="`scorer`: `vader`, or `module:name` of your own.")
    field: str | None = Field(None, description="`scorer`: the input field to score.")
    function: FunctionRef | None = Field(
        None, description="`python`: `module:name` of `def f(record: dict) -> dict`, sync or async."
    )
    output: OutputSpec | None = Field(
        None, description="The shape of the output, short form or JSON Schema. Enforced; misfits are quarantined."
    )
    on_failure: OnFailure = Field("quarantine", description=ON_FAILURE_OR_FALLBACK)
    fallback: FallbackConfig | None = Field(
        None, description="`[gpt-4o]`, `{value: {...}}` or `{cached: true}`: what answers in place of a failure."
    )

    @model_validator(mode="before")
    @classmethod
    def _fallback_is_meant(cls, value: Any) -> Any:
        return meant_by_presence(value)

    @model_validator(mode="after")
    def _falls_back(self) -> Self:
        fallback_fits(self.on_failure, self.fallback)
        if self.type != "ai" and self.fallback is not None and self.fallback.value is None:
            raise PydanticCustomError(
                "strange_for_type", "`fallback: {value: {...}}`: only a transform of type ai asks models"
            )
        return self

    @model_validator(mode="after")
    def _keys_fit_type(self) -> Self:
        typed = frozenset().union(*_KEYS_OF_TYPE.values())
        strange = (self.model_fields_set & typed) - _KEYS_OF_TYPE[self.type]
        missing = [key for key in _REQUIRED_OF_TYPE[self.type] if getattr(self, key) is None]
        if missing:
            raise PydanticCustomError(
                "missing_for_type",
                "{keys}, which a transform of type {type} needs",
                {"keys": " and ".join(f"`{key}`" for key in missing), "type": self.type},
            )
        if strange:
            raise PydanticCustomError(
                "strange_for_type",
                "no {keys} in a transform of type {type}",
                {"keys": " or ".join(f"`{key}`" for key in sorted(strange)), "type": self.type},
            )
        return self


class GateConfig(Section):
    """A gate with settings."""

    type: str = Field(description="`all_pass`, `majority_pass`, `any_pass`, `weighted`, or a custom gate.")
    threshold: float | None = Field(None, ge=0, le=1, description="`weighted`: the mean to reach.")

    @model_validator(mode="after")
    def _threshold_with_weighted(self) -> Self:
        if self.type == "weighted" and self.threshold is None:
            raise PydanticCustomError("missing_for_type", "`threshold`, which a weighted gate needs")
        if self.type != "weighted" and self.threshold is not None:
            raise PydanticCustomError("strange_for_type", "no `threshold`, which belongs to the weighted gate alone")
        return self


class EvaluateConfig(Recovery):
    """How each output is scored, and which scores let it through."""

    evaluators: list[EvaluatorConfig] = Field(min_length=1, description="Each gives one score in [0, 1] per record.")
    quality_gate: GateConfig = Field(
        default_factory=lambda: GateConfig(type="all_pass"),
        description="`all_pass`, `majority_pass`, `any_pass`, `{type: weighted, threshold: 0.75}`, a registered "
        "name, or `module:Class`.",
    )
    batch_threshold: float | None = Field(
        None, ge=0, le=1, description="Share of judged records that must pass, over the whole run; else `partial`."
    )
    on_failure: OnFailureHere = Field("quarantine", description="For evaluator errors. " + ON_FAILURE)

    @field_validator("quality_gate", mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {"type": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _names_and_thresholds(self) -> Self:
        names = [evaluator.name for evaluator in self.evaluators]
        twice = sorted({str(name) for name in names if names.count(name) > 1})
        if twice:
            raise PydanticCustomError(
                "duplicate_names",
                "a different `name` for each evaluator ({names} stands twice)",
                {"names": ", ".join(twice)},
            )
        bare = [evaluator.name for evaluator in self.evaluators if evaluator.threshold is None]
        if self.quality_gate.type in ("all_pass", "majority_pass", "any_pass") and bare:
            raise PydanticCustomError(
                "missing_threshold",
                "a `threshold` for {names}: only a weighted gate does without",
                {"names": ", ".join(map(str, bare))},
            )
        return self


class LoadConfig(Recovery):
    """Where records that passed go."""

    destination: Location = Field(
        description="A file (`results/scores.csv`), `sqlite:///path.db?table=t` or `postgres://...?table=t`."
    )
    mode: Literal["append", "upsert", "replace"] | None = Field(
        None, description="`append`, `upsert` (by `key`) or `replace`. Default: `replace` for files, else `append`."
    )
    key: list[str] = Field(default_factory=list, description="Columns that identify a row, for `upsert`.")
    include: list[str] = Field(
        default_factory=list, description="Input fields to load beside the output. The extract key always is."
    )
    options: dict[str, Any] = Field(default_factory=dict, description="Settings of the destination's connector.")
    on_failure: OnFailure = Field("quarantine", description=ON_FAILURE_OR_FALLBACK)
    fallback: Location | None = Field(
        None,
        description="A second destination: for rows that the first refuses, and for batches once it cannot be written.",
    )

    @model_validator(mode="before")
    @classmethod
    def _fallback_is_meant(cls, value: Any) -> Any:
        return meant_by_presence(value)

    @model_validator(mode="after")
    def _falls_back(self) -> Self:
        fallback_fits(self.on_failure, self.fallback)
        return self

    @property
    def second(self) -> Self | None:
        """The same for the second destination, where there is one. Rows are added there, whatever the mode here."""
        if self.fallback is None:
            return None
        place = {"destination": self.fallback, "mode": "append", "options": dict[str, Any]()}
        return self.model_copy(update={**place, "fallback": None, "on_failure": "quarantine"})

    @field_validator("key", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _upsert_has_key(self) -> Self:
        if self.mode == "upsert" and not self.key:
            raise PydanticCustomError("missing_for_type", "`key`, which mode upsert needs")
        return self


class Pipeline(Section):
    """One pipeline: Extract -> AI-Transform -> Evaluate -> Load."""

    name: str = Field(description="Lower case letters, digits, `_` and `-`; routing keys and tables carry it.")
    version: str = Field("1.0.0", description="Yours; every run records it.")
    description: str = Field("", description="For people.")
    params: dict[str, ParamSpec] = Field(
        default_factory=dict, description="Named values a run may set: `since: {type: date, default: 2024-01-01}`."
    )
    extract: ExtractConfig
    transform: TransformConfig
    evaluate: EvaluateConfig | None = Field(None, description="Without it, every transformed record is loaded.")
    load: LoadConfig
    timeouts: Timeouts = Field(default_factory=Timeouts, description="What may take how long.")

    @field_validator("version", mode="before")
    @classmethod
    def _version_is_text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int | float) else value

    @field_validator("name")
    @classmethod
    def _routable(cls, value: str) -> str:
        if not _NAME.match(value):
            raise PydanticCustomError(
                "pipeline_name", "a name of at most 100 lower case letters, digits, `_` and `-`, first a letter"
            )
        return value
