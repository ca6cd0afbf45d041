"""Defines the transform of type `ai`: a model is asked with a prompt."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal

from pydantic import AliasChoices, Field

from loom_common.domain.definition.failures.fallback import fallback_fits
from loom_common.domain.definition.transforms.cascade import CascadeConfig, CheapTier, cascade_fits
from loom_common.domain.definition.transforms.transform import TransformConfig
from loom_common.domain.model_options.asking import AskingOptions, LogprobsConfig, asking_mistakes
from loom_common.domain.model_options.caching import CacheConfig
from loom_common.domain.model_options.call_options import CallOptions
from loom_common.domain.model_options.execution import ExecutionConfig
from loom_common.domain.model_options.providers import RateLimit
from loom_common.domain.model_options.question_parts import QuestionConfig, question_mistakes, with_prompt
from loom_common.domain.model_options.several_calls import SeveralCalls, agreement_field, several_calls_fit
from loom_common.domain.section import Mistake, SecretRef, WebLocation, mistake, said
from loom_common.domain.values.durations import Limit


class AiTransformConfig(TransformConfig, QuestionConfig, CallOptions, AskingOptions, SeveralCalls):
    """A model is asked with a prompt for each record."""

    beside: ClassVar[tuple[str, ...]] = ()
    """Names what its templates see beside `input`, `context` and `params`."""
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
    context: list[str] = Field([], description="Files the prompt sees as `context.<stem>`.")
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
