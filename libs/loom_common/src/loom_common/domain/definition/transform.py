"""Defines the `transform` section of a pipeline file: one model of keys for each type of transform."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AliasChoices,
    Field,
    PlainSerializer,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapSerializer,
    WrapValidator,
)

from loom_common.domain.definition.cascades import CascadeConfig, CheapTier, cascade_fits
from loom_common.domain.definition.failing import (
    ON_FAILURE_OR_FALLBACK,
    FallbackConfig,
    OnFailure,
    Recovery,
    fallback_fits,
    meant_by_presence,
)
from loom_common.domain.definition.output import TEXT, OutputSpec, is_json_schema, json_schema
from loom_common.domain.definition.steps import (
    dump_step,
    made_by,
    merged_schema,
    number_fields,
    strange_in_step,
    with_step_keys,
)
from loom_common.domain.json_values.whole_numbers import Turn, whole_numbers
from loom_common.domain.model_options.asking import AskingOptions, LogprobsConfig, asking_mistakes
from loom_common.domain.model_options.caching import CacheConfig
from loom_common.domain.model_options.call_options import CallOptions
from loom_common.domain.model_options.execution import ExecutionConfig
from loom_common.domain.model_options.providers import RateLimit
from loom_common.domain.model_options.question_parts import QuestionConfig, question_mistakes, with_prompt
from loom_common.domain.model_options.scorers import ScorerOptions, scorer_fits, with_scorer_named
from loom_common.domain.model_options.several_calls import SeveralCalls, agreement_field, several_calls_fit
from loom_common.domain.plugin_section import PluginSection, dump_as_itself, plugin_model, unusable
from loom_common.domain.schema.contract import SchemaConfig
from loom_common.domain.section import (
    FunctionRef,
    Mistake,
    SecretRef,
    WebLocation,
    mistake,
    mistakes_in,
    refusal,
    said,
)
from loom_common.domain.steps.keys import StepKeys
from loom_common.domain.steps.mistakes import step_mistakes
from loom_common.domain.steps.operators import OPERATORS
from loom_common.domain.values.durations import Limit
from loom_common.domain.values.near import closest
from loom_common.errors import PluginUnusable
from loom_common.plugins.kinds import Kind
from loom_common.plugins.registry import names

STEPS = "steps"
"""The `type` of a transform that has steps, which nobody has to write."""
_SHOWN = 4
_LONGEST = 200


class TransformConfig(Recovery):
    """Says how a record's output is made from its input: by the `type`, which has keys of its own beside these."""

    output: OutputSpec | None = Field(
        None,
        description="The shape of the output, short form or JSON Schema: enforced, misfits are quarantined. Or `text`.",
    )
    schema_: SchemaConfig | None = Field(
        None,
        alias="schema",
        description="The same as `extract.schema` for what the model or the code answered, before it is evaluated.",
    )
    calibration: str | None = Field(
        None,
        min_length=1,
        description="A file that `loom bench calibrate` wrote: the confidence that an output states is turned into the "
        "probability that it is right.",
    )
    on_failure: OnFailure = Field("quarantine", description=ON_FAILURE_OR_FALLBACK)
    fallback: FallbackConfig | None = Field(
        None, description="`[gpt-4o]`, `{value: {...}}` or `{cached: true}`: what answers in place of a failure."
    )

    @property
    def shape(self) -> dict[str, Any] | None:
        """Return the spec of the output, however it was written; None where any output is valid."""
        return {TEXT: "string"} if isinstance(self.output, str) else self.output

    @cached_property
    def declared_schema(self) -> Mapping[str, Any] | None:
        """Return the JSON Schema of `shape`; None where any output is valid. Every batch is read with it, and checking
        one of thirty fields takes 10 ms, so it is made once."""
        if self.shape is None:
            return None
        schema = json_schema(self.shape)
        return {**schema, "properties": {**schema.get("properties", {}), **self.added}} if self.added else schema

    @cached_property
    def whole_numbers(self) -> Turn | None:
        """Return what makes integers of the numbers that `declared_schema` declares to be some; None for none."""
        return None if self.declared_schema is None else whole_numbers(self.declared_schema)

    @property
    def added(self) -> Mapping[str, Any]:
        """Return the schemas of the fields that Loom adds to what was answered."""
        return {}

    @property
    def made_by(self) -> str | None:
        """Return the model, scorer or function that makes the output; None where the type says it all."""
        return None

    @classmethod
    def long_form(cls, written: Any) -> Any:
        return meant_by_presence(written)

    @classmethod
    def mistakes(cls, written: Mapping[str, Any]) -> Iterable[Mistake]:
        """A fallback goes with `on_failure`, and asks no model where the transform asks none."""
        yield from fallback_fits(written)
        fallback = FallbackConfig.long_form(said(written, "fallback"))
        if fallback is not None and said(fallback, "value") is None:
            expected = "`fallback: {value: {...}}`: only a transform of type ai asks models"
            yield mistake(("fallback",), "strange_for_type", expected, fallback)


class AiTransformConfig(TransformConfig, QuestionConfig, CallOptions, AskingOptions, SeveralCalls):
    """A model is asked with a prompt for each record."""

    type: Literal["ai"]
    prompt: str = Field(
        validation_alias=AliasChoices("prompt", "prompt_path"),
        description="A Jinja2 template, as a path or inline; it sees `input`, `context`, `params` and `examples`.",
    )
    prompt_version: str | None = Field(None, description="Your name for this version. Default: its content hash.")
    model: str = Field(description="`provider:model`, e.g. `anthropic:claude-haiku-4-5`; a bare name is OpenAI's.")
    temperature: float | None = Field(
        0.0, ge=0, le=2, description="Sampling temperature; null leaves it to the model, as some demand."
    )
    max_tokens: int | None = Field(None, ge=1, description="The longest answer, in tokens.")
    context: list[str] = Field(default_factory=list, description="Files the prompt sees as `context.<stem>`.")
    base_url: WebLocation | None = Field(
        None, description="Where the model's provider is. Default: `providers`, else its usual address."
    )
    api_key: SecretRef | None = Field(
        None, description="A credential reference. Default: `providers`, else its usual one where that is set."
    )
    cache: CacheConfig = Field(default_factory=CacheConfig, description="Reuse of results between runs.")
    timeout: Limit | None = Field(
        None, description="What one question may take, e.g. `65s` for large models. Default: 35 s."
    )
    rate_limit: RateLimit | None = Field(
        None, description="How much all workers together may ask of each model. Default: that of `providers`."
    )
    records_per_call: int = Field(
        1, ge=1, le=50, description="Records that share a question. What is not answered well is asked singly."
    )
    cascade: CascadeConfig | None = Field(
        None,
        description="A cheap model, scorer or function that answers first; `model` is asked only where that is unsure.",
    )
    execution: ExecutionConfig = Field(
        default_factory=ExecutionConfig,
        description="`batch`, or `{type: batch, deadline: 6h}`: ask through the provider's batch API, for half the "
        "price. Default: `direct`.",
    )
    logprobs: LogprobsConfig | None = Field(
        None,
        description="`true`, or an output field: add how probable the answer, or that field's value, was to the model, "
        "by the probabilities of its tokens.",
    )
    answer: Literal["lenient", "strict"] = Field(
        "lenient",
        description="Whether the answer is also read out of reasoning, code fences and words around it, where "
        "exactly one JSON object stands there; `strict` takes nothing but JSON.",
    )

    @property
    def made_by(self) -> str | None:
        return self.model

    @property
    def added(self) -> Mapping[str, Any]:
        name = agreement_field(self)
        shares = {} if name is None else {name: {"type": "number", "minimum": 0, "maximum": 1}}
        if self.logprobs is None:
            return shares
        return {**shares, self.logprobs.into: {"type": ["number", "null"], "minimum": 0, "maximum": 1}}

    @classmethod
    def long_form(cls, written: Any) -> Any:
        """The prompt may be the last of the messages, and `logprobs: false` is the same as none."""
        written = with_prompt(TransformConfig.long_form(written))
        return {**written, "logprobs": None} if said(written, "logprobs") is False else written

    @classmethod
    def mistakes(cls, written: Mapping[str, Any]) -> Iterable[Mistake]:
        """A fallback goes with `on_failure`, several calls for a record with what they are asked by, the parts of a
        question with each other, and a cascade with an output whose confidence is not changed later;
        a request of a batch is about one record."""
        yield from fallback_fits(written)
        yield from several_calls_fit(written)
        yield from question_mistakes(written)
        yield from asking_mistakes(written)
        yield from cascade_fits(written)
        execution = ExecutionConfig.long_form(said(written, "execution"))
        together = said(written, "records_per_call")
        if said(execution, "type") == "batch" and isinstance(together, int) and together > 1:
            expected = "no `records_per_call` with `execution: batch`: each request of a batch is about one record"
            yield mistake(("records_per_call",), "strange_for_type", expected, together)
        cheap = CheapTier.long_form(said(said(written, "cascade"), "cheap"))
        if said(execution, "type") == "batch" and said(cheap, "model") is not None:
            expected = "no cheap model with `execution: batch`: each tier would wait for a batch of its own"
            yield mistake(("cascade", "cheap"), "strange_for_type", expected, said(cheap, "model"))
        if said(execution, "type") == "batch" and said(written, "attachments"):
            expected = "no `attachments` with `execution: batch`: what waits for a batch is text"
            yield mistake(("attachments",), "strange_for_type", expected, said(written, "attachments"))


class EmbedTransformConfig(TransformConfig, CallOptions):
    """A model turns a text of each record into a vector: the output is `{embedding: [0.1, ...]}`."""

    type: Literal["embed"]
    model: str = Field(description="`provider:model`, e.g. `openai:text-embedding-3-small`; see `type: ai`.")
    field: str | None = Field(None, min_length=1, description="The input field whose text is embedded.")
    text: str | None = Field(
        None, min_length=1, description="Instead: a Jinja2 template of the text; it sees `input` and `params`."
    )
    into: str = Field("embedding", min_length=1, description="The field of the output that holds the vector.")
    dimensions: int | None = Field(
        None, ge=1, le=100_000, description="The length of the vectors: asked for, and checked. Default: the model's."
    )
    normalize: bool = Field(False, description="Whether vectors are scaled to the length 1.")
    texts_per_call: int = Field(64, ge=1, le=2048, description="Records that share a call.")
    base_url: WebLocation | None = Field(
        None, description="Where the model's provider is. Default: `providers`, else its usual address."
    )
    api_key: SecretRef | None = Field(
        None, description="A credential reference. Default: `providers`, else its usual one where that is set."
    )
    cache: CacheConfig = Field(default_factory=CacheConfig, description="Reuse of results between runs.")
    timeout: Limit | None = Field(None, description="What one call may take. Default: 35 s.")
    rate_limit: RateLimit | None = Field(
        None, description="How much all workers together may ask of the model. Default: that of `providers`."
    )

    @property
    def made_by(self) -> str | None:
        return self.model

    @property
    def vector(self) -> dict[str, Any]:
        """Return the JSON Schema of the vectors."""
        bounds = {} if self.dimensions is None else {"minItems": self.dimensions, "maxItems": self.dimensions}
        return {"type": "array", "items": {"type": "number"}, "format": "vector", **bounds}

    @cached_property
    def declared_schema(self) -> Mapping[str, Any] | None:
        fields = {self.into: self.vector}
        return {"type": "object", "properties": fields, "required": [self.into], "additionalProperties": False}

    @classmethod
    def mistakes(cls, written: Mapping[str, Any]) -> Iterable[Mistake]:
        """The text is named once, and the output is what it is."""
        yield from TransformConfig.mistakes(written)
        if (said(written, "field") is None) == (said(written, "text") is None):
            yield mistake((), "missing_for_type", "one of `field` and `text`, which says what is embedded", written)
        for key in ("output", "calibration"):
            if said(written, key) is not None:
                expected = f"no `{key}` in a transform of type embed: its output is a vector, in the field `into`"
                yield mistake((key,), "strange_for_type", expected, said(written, key))


class ScorerTransformConfig(TransformConfig, ScorerOptions):
    """A local model looks at one field of the input."""

    type: Literal["scorer"]
    scorer: str = Field(
        description="`vader`, `module:name` of your own, the path of a text classifier in the ONNX format (`.onnx`), "
        "or a model server's URL; or `{name: ..., calibration: ...}`."
    )
    field: str = Field(description="The input field to score.")

    @classmethod
    def long_form(cls, written: Any) -> Any:
        """The settings of a scorer may stand beneath it."""
        return with_scorer_named(TransformConfig.long_form(written))

    @classmethod
    def mistakes(cls, written: Mapping[str, Any]) -> Iterable[Mistake]:
        """Processes have a memory, and a server has a key, besides what holds for every transform."""
        yield from TransformConfig.mistakes(written)
        yield from scorer_fits(written)

    @property
    def made_by(self) -> str | None:
        return self.scorer


class PythonTransformConfig(TransformConfig):
    """A function of yours is called with each record."""

    type: Literal["python"]
    function: FunctionRef = Field(description="`module:name` of `def f(record: dict) -> dict`, sync or async.")

    @property
    def made_by(self) -> str | None:
        return self.function


class PassthroughTransformConfig(TransformConfig):
    """The output is the input as it is."""

    type: Literal["passthrough"]

    @classmethod
    def mistakes(cls, written: Mapping[str, Any]) -> Iterable[Mistake]:
        """There is no stated confidence to calibrate, besides what holds for every transform."""
        yield from TransformConfig.mistakes(written)
        if said(written, "calibration") is not None:
            expected = "no `calibration` in a transform of type passthrough: it makes no output"
            yield mistake(("calibration",), "strange_for_type", expected, said(written, "calibration"))


class PluginTransform(PluginSection, TransformConfig):
    """Serves as the base of transforms that a plugin brings. A subclass adds its own keys, and builds what
    transforms."""

    type: str

    @abstractmethod
    def build(self) -> Callable[[dict[str, Any]], Any]:
        """Build a function, sync or async, of a record's input that returns its output, a dict. It is built once for
        each pipeline version in every transformer process."""


def _step(written: Any) -> Any:
    """A step is read by the model of its type, with the keys of every step besides."""
    if isinstance(written, StepKeys):
        return written
    if said(written, "type") == "steps" or said(written, "steps") is not None:
        raise refusal("step", [mistake((), "strange_for_type", "a step without `steps` of its own", written)])
    try:
        model = step_model(written)
        found = list(strange_in_step(written)) if model not in OPERATORS.values() else []
        made = model.model_validate(written)
    except PluginUnusable as error:
        raise refusal("step", [unusable(("type",), error, said(written, "type"))]) from error
    except ValidationError as error:
        found += mistakes_in(error)
        mistaken = _of_the_type(found, written) if model not in OPERATORS.values() else found
        raise refusal("step", mistaken) from None
    if found:
        raise refusal("step", found)
    return made


def step_model(written: Any) -> type[StepKeys]:
    """Return the model of a step's keys. Raises `PluginUnusable`."""
    kind = said(written, "type")
    if isinstance(kind, str) and kind not in TRANSFORMS and closest(kind, (*TRANSFORMS, *OPERATORS)) in OPERATORS:
        kind = closest(kind, OPERATORS)
    if isinstance(kind, str) and kind in OPERATORS:
        return OPERATORS[kind]
    return with_step_keys(transform_model(written))


AnyStep = Annotated[StepKeys, WrapValidator(lambda written, _: _step(written)), PlainSerializer(dump_step)]


class StepsTransformConfig(TransformConfig):
    """Named steps make the output together: each adds its fields to the record, which later steps see."""

    type: Literal["steps"]
    steps: list[AnyStep] = Field(
        min_length=1, max_length=200, description="The steps. In what order they run, `needs` says, and not the list."
    )
    parallel: bool = Field(True, description="Whether steps that do not need each other run at the same time.")

    @classmethod
    def long_form(cls, written: Any) -> Any:
        """The steps say what the type is."""
        written = TransformConfig.long_form(written)
        return {"type": "steps", **written} if isinstance(written, Mapping) else written

    @property
    def made_by(self) -> str | None:
        """Return the models, scorers and functions of the steps, each once."""
        steps: list[Any] = list(self.steps)
        named = list(
            dict.fromkeys(step.made_by for step in steps if isinstance(step, TransformConfig) and step.made_by)
        )
        shown = ", ".join(named[:_SHOWN])
        return (f"{shown} and {len(named) - _SHOWN} more" if len(named) > _SHOWN else shown)[:_LONGEST] or None

    @cached_property
    def declared_schema(self) -> Mapping[str, Any] | None:
        if self.shape is not None:
            return json_schema(self.shape)
        return merged_schema(self.steps)

    @classmethod
    def mistakes(cls, written: Mapping[str, Any]) -> Iterable[Mistake]:
        """The steps make a graph; what fails, fails in a step."""
        yield from TransformConfig.mistakes(written)
        steps = said(written, "steps")
        if isinstance(steps, list):
            made = {name: made_by(step) for step in steps if isinstance(name := said(step, "name"), str)}
            for each in step_mistakes(steps, made):
                yield {**each, "loc": ("steps", *each.get("loc", ()))}
        for key, where in (("calibration", "the step whose output it is for"), ("fallback", "the step that may fail")):
            if said(written, key) is not None:
                yield mistake((key,), "strange_for_type", f"no `{key}` beside `steps`; it belongs to {where}")
        if said(written, "on_failure") in ("retry", "fallback"):
            expected = "`quarantine`, `skip` or `abort` beside `steps`; a step that tries again or falls back says so"
            yield mistake(("on_failure",), "strange_for_type", expected, said(written, "on_failure"))
        declared = said(written, "output")
        if isinstance(declared, Mapping):
            names = (declared.get("properties") or {}) if is_json_schema(declared) else declared
            for number in number_fields(written):
                if number not in names:
                    expected = f"`{number}: integer` among its fields, which tells the records made of one apart"
                    yield mistake(("output",), "derived_rows", expected, declared)
        if said(written, "output") == TEXT:
            yield mistake(("output",), "strange_for_type", "fields beside `steps`, as each step adds its own", TEXT)


BuiltIn = (
    AiTransformConfig
    | EmbedTransformConfig
    | ScorerTransformConfig
    | PythonTransformConfig
    | PassthroughTransformConfig
    | StepsTransformConfig
)
TRANSFORMS: dict[str, type[TransformConfig]] = {
    get_args(model.model_fields["type"].annotation)[0]: model for model in get_args(BuiltIn)
}
"""Those that Loom brings, by their `type`."""
_OWN_KEYS = {
    kind: frozenset(model.model_fields.keys() | {"prompt_path"} if kind == "ai" else model.model_fields)
    - TransformConfig.model_fields.keys()
    - {"type"}
    for kind, model in TRANSFORMS.items()
}
"""Holds the keys that a transform of a type has beside those of every transform."""
_KEYS_OF_A_TYPE = frozenset[str]().union(*_OWN_KEYS.values())


def transform_names() -> list[str]:
    """Return every transform that may be named here. One that has steps is known by them."""
    return [*(name for name in TRANSFORMS if name != STEPS), *names(Kind.TRANSFORM)]


def transform_model(written: Any) -> type[TransformConfig]:
    """Return the model of a transform's keys. Where there is no transform of the type that is written, it is that of
    Loom's own transform which has nearly that name, or else most of the keys. Raises `PluginUnusable`."""
    if isinstance(written, TransformConfig):
        return type(written)
    kind = said(written, "type")
    if kind is None and said(written, "steps") is not None:
        return StepsTransformConfig
    if not isinstance(kind, str):
        return _most_alike(written)
    model = TRANSFORMS.get(kind) or plugin_model(Kind.TRANSFORM, kind, PluginTransform)  # type: ignore[type-abstract]
    near = closest(kind, TRANSFORMS)
    return model or (TRANSFORMS[near] if near else _most_alike(written))


def asks_models(written: Any) -> bool:
    """Tell whether a transform is one whose `model` is asked with its `prompt`."""
    try:
        return issubclass(transform_model(written), AiTransformConfig)
    except PluginUnusable:
        return False


def embedded_text(transform: Any) -> str | None:
    """Return the template of the text that a transform embeds, as written or as a model; None where it has none."""
    text = said(transform, "text") if said(transform, "type") == "embed" else None
    return text if isinstance(text, str) else None


def _most_alike(written: Any) -> type[TransformConfig]:
    keys = frozenset(written) if isinstance(written, Mapping) else frozenset[str]()
    return TRANSFORMS[max(TRANSFORMS, key=lambda kind: len(keys & _OWN_KEYS[kind]))]


def _of_its_type(written: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    """A transform is read by the model of its type. Where the type itself is a mistake, those in other keys are told,
    too."""
    if isinstance(written, TransformConfig):
        return handler(written)
    try:
        return transform_model(written).model_validate(written)
    except PluginUnusable as error:
        raise refusal("transform", [unusable(("type",), error, said(written, "type"))]) from error
    except ValidationError as error:
        raise refusal("transform", _of_the_type(mistakes_in(error), written)) from None


def _of_the_type(found: list[Mistake], written: Any) -> Iterator[Mistake]:
    """Yield the mistakes in a transform, in terms of its type: which keys it needs, and which belong to another type.
    Where there is no such type, neither is known."""
    kind, missing = said(written, "type"), list[str]()
    of_a_type = not any(each.get("loc") == ("type",) for each in found)
    for each in found:
        path = each.get("loc", ())
        key = path[0] if len(path) == 1 else None
        if each["type"] == "missing" and key not in (None, "type"):
            missing.append(f"`{key}`")
        elif each["type"] != "extra_forbidden" or key not in _KEYS_OF_A_TYPE:
            yield each
        elif of_a_type:
            yield mistake(path, "strange_for_type", f"no `{key}` in a transform of type {kind}", each["input"])
    if missing and of_a_type:
        expected = f"{' and '.join(missing)}, which a transform of type {kind} needs"
        yield mistake((), "missing_for_type", expected, written)


AnyTransform = Annotated[
    Annotated[BuiltIn, Field(discriminator="type")] | PluginTransform,
    WrapValidator(_of_its_type),
    WrapSerializer(dump_as_itself),
]
