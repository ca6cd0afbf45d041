"""The `transform` section of a pipeline file."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Field, ValidatorFunctionWrapHandler, WrapSerializer, WrapValidator

from loom_common.domain.definition.caching import CacheConfig
from loom_common.domain.definition.failing import (
    ON_FAILURE_OR_FALLBACK,
    FallbackConfig,
    OnFailure,
    Recovery,
    fallback_fits,
    meant_by_presence,
)
from loom_common.domain.definition.output import TEXT, OutputSpec
from loom_common.domain.model_options.call_options import CallOptions
from loom_common.domain.model_options.providers import RateLimit
from loom_common.domain.plugin_section import PluginSection, dump_as_itself, read_plugin
from loom_common.domain.section import FunctionRef, Mistake, SecretRef, WebLocation, mistake, said
from loom_common.domain.values.durations import Limit
from loom_common.plugins.kinds import Kind

_KEYS_OF_TYPE: dict[str, frozenset[str]] = {
    "ai": frozenset(
        {
            *("prompt", "prompt_version", "model", "temperature", "max_tokens", "context", "cache", "base_url"),
            *("api_key", "timeout", "rate_limit", "records_per_call"),
            *("params", "extra_body", "headers", "answer"),
        }
    ),
    "scorer": frozenset({"scorer", "field"}),
    "python": frozenset({"function"}),
    "passthrough": frozenset(),
}
_TYPED = frozenset[str]().union(*_KEYS_OF_TYPE.values())
_REQUIRED_OF_TYPE: dict[str, tuple[str, ...]] = {
    "ai": ("prompt", "model"),
    "scorer": ("scorer", "field"),
    "python": ("function",),
    "passthrough": (),
}


class TransformConfig(Recovery, CallOptions):
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
    model: str | None = Field(
        None, description="`ai`: `provider:model`, e.g. `anthropic:claude-haiku-4-5`; a bare name is OpenAI's."
    )
    temperature: float | None = Field(
        0.0, ge=0, le=2, description="`ai`: sampling temperature; null leaves it to the model, as some demand."
    )
    max_tokens: int | None = Field(None, ge=1, description="`ai`: the longest answer, in tokens.")
    context: list[str] = Field(default_factory=list, description="`ai`: files the prompt sees as `context.<stem>`.")
    base_url: WebLocation | None = Field(
        None, description="`ai`: where the model's provider is. Default: `providers`, else its usual address."
    )
    api_key: SecretRef | None = Field(
        None, description="`ai`: a credential reference. Default: `providers`, else its usual one where that is set."
    )
    cache: CacheConfig = Field(default_factory=CacheConfig, description="`ai`: reuse of results between runs.")
    timeout: Limit | None = Field(
        None, description="`ai`: what one question may take, e.g. `65s` for large models. Default: 35 s."
    )
    rate_limit: RateLimit | None = Field(
        None, description="`ai`: how much all workers together may ask of each model. Default: that of `providers`."
    )
    records_per_call: int = Field(
        1, ge=1, le=50, description="`ai`: records that share a question. What is not answered well is asked singly."
    )
    answer: Literal["lenient", "strict"] = Field(
        "lenient",
        description="`ai`: whether the answer is also read out of reasoning, code fences and words around it, where "
        "exactly one JSON object stands there; `strict` takes nothing but JSON.",
    )
    scorer: str | None = Field(None, description="`scorer`: `vader`, or `module:name` of your own.")
    field: str | None = Field(None, description="`scorer`: the input field to score.")
    function: FunctionRef | None = Field(
        None, description="`python`: `module:name` of `def f(record: dict) -> dict`, sync or async."
    )
    output: OutputSpec | None = Field(
        None,
        description="The shape of the output, short form or JSON Schema: enforced, misfits are quarantined. Or `text`.",
    )
    on_failure: OnFailure = Field("quarantine", description=ON_FAILURE_OR_FALLBACK)
    fallback: FallbackConfig | None = Field(
        None, description="`[gpt-4o]`, `{value: {...}}` or `{cached: true}`: what answers in place of a failure."
    )

    @property
    def shape(self) -> dict[str, Any] | None:
        """Return the spec of the output, however it was written; None where any output is valid."""
        return {TEXT: "string"} if isinstance(self.output, str) else self.output

    @classmethod
    def long_form(cls, written: Any) -> Any:
        return meant_by_presence(written)

    @classmethod
    def mistakes(cls, written: Mapping[str, Any]) -> Iterable[Mistake]:
        """A type needs its own keys and takes no other type's; a fallback must suit it."""
        yield from fallback_fits(written)
        kind = said(written, "type")
        if not isinstance(kind, str) or kind not in _KEYS_OF_TYPE:
            return
        given = {"prompt" if key == "prompt_path" else key: value for key, value in written.items()}
        if missing := [key for key in _REQUIRED_OF_TYPE[kind] if given.get(key) is None]:
            keys = " and ".join(f"`{key}`" for key in missing)
            yield mistake((), "missing_for_type", f"{keys}, which a transform of type {kind} needs", written)
        for key in written:
            name = "prompt" if key == "prompt_path" else key
            if name in _TYPED and name not in _KEYS_OF_TYPE[kind]:
                yield mistake((key,), "strange_for_type", f"no `{key}` in a transform of type {kind}", written[key])
        if kind != "ai":
            yield from _fallback_without_models(written)


def _fallback_without_models(written: Mapping[str, Any]) -> Iterable[Mistake]:
    fallback = FallbackConfig.long_form(said(written, "fallback"))
    if fallback is not None and said(fallback, "value") is None:
        expected = "`fallback: {value: {...}}`: only a transform of type ai asks models"
        yield mistake(("fallback",), "strange_for_type", expected, fallback)


class PluginTransform(PluginSection, TransformConfig):
    """The base of transforms that a plugin brings. A subclass adds keys of its own, under other names than those of the
    built-in types, and builds what transforms."""

    type: str  # type: ignore[assignment]  # any name but Loom's own

    @abstractmethod
    def build(self) -> Callable[[dict[str, Any]], Any]:
        """A function, sync or async, of a record's input that returns its output, a dict. It is built once for each
        pipeline version in every transformer process."""

    @classmethod
    def mistakes(cls, written: Mapping[str, Any]) -> Iterable[Mistake]:
        """No key of a built-in type; a fallback that asks no model."""
        yield from fallback_fits(written)
        kind = said(written, "type")
        for key in written:
            if key == "prompt_path" or key in _TYPED:
                yield mistake((key,), "strange_for_type", f"no `{key}` in a transform of type {kind}", written[key])
        yield from _fallback_without_models(written)


def _of_its_type(written: Any, handler: ValidatorFunctionWrapHandler) -> TransformConfig:
    """A transform of a plugin is read by its model; every other one has the keys of the built-in types."""
    kind = written.get("type") if isinstance(written, Mapping) else None
    if isinstance(kind, str) and kind not in _KEYS_OF_TYPE:
        read = read_plugin(Kind.TRANSFORM, written, PluginTransform)  # type: ignore[type-abstract]
        if read is not None:
            return read
    made: TransformConfig = handler(written)
    return made


TRANSFORMS = tuple(_KEYS_OF_TYPE)
"""The transforms that Loom brings."""
AnyTransform = Annotated[TransformConfig, WrapValidator(_of_its_type), WrapSerializer(dump_as_itself)]
