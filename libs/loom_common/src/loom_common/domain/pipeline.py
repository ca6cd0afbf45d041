"""What a pipeline file says, as types. Every description here is the reference in docs/pipeline.md."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, AliasChoices, BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from loom_common.domain.durations import Duration, Limit, seconds
from loom_common.domain.evaluators import EvaluatorConfig
from loom_common.domain.output import OutputSpec
from loom_common.domain.params import ParamSpec
from loom_common.domain.urls import clear_text_password

_NAME = re.compile(r"^[a-z][a-z0-9_-]{0,99}$")
_FUNCTION = re.compile(r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")

OnFailure = Literal["quarantine", "skip", "retry", "fallback", "abort"]
OnFailureHere = Literal["quarantine", "skip", "retry", "abort"]
"""Of a stage that has nothing to fall back on."""
ON_FAILURE = (
    "What becomes of a record that fails here: `quarantine` keeps it with its reason, `skip` counts it as skipped "
    "(and keeps it too), `retry` tries it `max_attempts` times before it is quarantined, `abort` fails the run."
)
ON_FAILURE_OR_FALLBACK = (
    f"{ON_FAILURE[:-1]}, `fallback` goes on with `fallback`, whose being there is enough to say so."
)


def _location(value: str) -> str:
    if clear_text_password(value):
        raise PydanticCustomError(
            "clear_text_password",
            "a credential reference instead of a password in clear: ${NAME}, resolved where it is needed",
        )
    return value


def _function(value: str) -> str:
    if not _FUNCTION.match(value):
        raise PydanticCustomError("function_reference", "a function written module:name")
    return value


def _secret_reference(value: str) -> str:
    if not re.fullmatch(r"\$\{[^}]+\}", value):
        raise PydanticCustomError("clear_text_secret", "a credential reference: ${NAME} or ${provider:name}")
    return value


Location = Annotated[str, Field(min_length=1), AfterValidator(_location)]
"""A path or URL. Credentials in it stay references: `${NAME}`."""
FunctionRef = Annotated[str, AfterValidator(_function)]
SecretRef = Annotated[str, AfterValidator(_secret_reference)]


class Section(BaseModel):
    """A part of the pipeline file. Unknown keys are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Recovery(Section):
    """How much failing a stage takes. Each of the four stages has these keys."""

    max_attempts: int = Field(
        3, ge=1, le=20, description="`retry`: tries of a record in all; 1 s apart, doubling to 60 s, with jitter."
    )
    max_failures: int | None = Field(
        None, ge=0, description="More failed records than this end the run: `partial` if any are loaded, else `failed`."
    )
    max_failure_rate: float | None = Field(
        None, ge=0, le=1, description="So does a larger share of failed records, once 20 have been through this stage."
    )


def _meant_by_presence(section: Any) -> Any:
    """`fallback:` alone says `on_failure: fallback`."""
    if isinstance(section, dict) and section.get("fallback") is not None and "on_failure" not in section:
        return {**section, "on_failure": "fallback"}
    return section


def _fallback_fits(on_failure: OnFailure, fallback: Any) -> None:
    if on_failure == "fallback" and fallback is None:
        raise PydanticCustomError("missing_for_type", "`fallback`, which on_failure: fallback needs")
    if on_failure != "fallback" and fallback is not None:
        raise PydanticCustomError(
            "strange_for_type", "no `fallback` with on_failure: {on_failure}", {"on_failure": on_failure}
        )


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


class FallbackConfig(Section):
    """What answers for a record that the transform fails on. Written short, `[model, ...]` are models."""

    models: list[str] = Field(
        default_factory=list,
        description="`ai`: other models, asked in this order; also at once where the one before is away.",
    )
    value: dict[str, Any] | None = Field(None, description="Always this output.")
    cached: bool = Field(
        False, description="`ai`: the last good answer for the same record, by its key, of this or an earlier run."
    )

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {"models": value} if isinstance(value, list) else value

    @model_validator(mode="after")
    def _one_of_three(self) -> Self:
        if bool(self.models) + (self.value is not None) + self.cached != 1:
            raise PydanticCustomError("missing_for_type", "one of a list of models, `value: {...}` and `cached: true`")
        return self


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
        return _meant_by_presence(value)

    @model_validator(mode="after")
    def _falls_back(self) -> Self:
        _fallback_fits(self.on_failure, self.fallback)
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
        return _meant_by_presence(value)

    @model_validator(mode="after")
    def _falls_back(self) -> Self:
        _fallback_fits(self.on_failure, self.fallback)
        return self

    @field_validator("key", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _upsert_has_key(self) -> Self:
        if self.mode == "upsert" and not self.key:
            raise PydanticCustomError("missing_for_type", "`key`, which mode upsert needs")
        return self


class Timeouts(Section):
    """What may take how long: `30s`, `15m`, `12h`, `7d`."""

    record: Limit = Field("2m", description="One record in the transform, or in the evaluators. Past it: quarantined.")
    batch: Limit = Field("30m", description="One batch in a worker's hands. Past it, it is tried again later.")
    run: Limit = Field("1h", description="The run, from its start or from being resumed. Past it, it fails.")
    extract: Limit = Field("15m", description="A slice being read. Where none is heard of for so long: asked again.")
    transform: Limit = Field("45m", description="Where no batch leaves the transform for so long: sent again.")
    evaluate: Limit = Field("30m", description="Where no batch leaves the evaluators for so long: sent again.")
    load: Limit = Field("15m", description="Where no batch is loaded for so long: sent again.")


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
