"""Defines how a model is asked beside its question: seed, reasoning, token probabilities, and marks for the provider's
cache of prompts."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from pydantic import Field

from loom_common.domain.model_options.providers import ADAPTED, protocol_of
from loom_common.domain.section import Mistake, Section, mistake, said

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
LEAST_REASONING = 1024
"""The fewest tokens of reasoning that Anthropic lets a budget name."""
_HAS: dict[str, frozenset[str]] = {
    "openai": frozenset({"seed", "reasoning.effort", "logprobs", "cache_prompt"}),
    "anthropic": frozenset({"reasoning.effort", "reasoning.max_tokens", "cache_prompt"}),
    "google": frozenset({"seed", "reasoning.effort", "reasoning.max_tokens", "logprobs", "cache_prompt"}),
}
"""Holds the options that each protocol has, by the keys of the pipeline file."""


class ReasoningConfig(Section):
    """Says how much a model reasons before it answers. The short form is the effort, or the number of tokens."""

    effort: Effort | None = Field(
        None, description="`none`, `minimal`, `low`, `medium`, `high`, `xhigh` or `max`; which ones, the model decides."
    )
    max_tokens: int | None = Field(
        None, ge=1, description="Instead, for Anthropic and Google: the most tokens of reasoning."
    )

    @classmethod
    def long_form(cls, written: Any) -> Any:
        if isinstance(written, str):
            return {"effort": written}
        return {"max_tokens": written} if isinstance(written, int) and not isinstance(written, bool) else written

    @classmethod
    def mistakes(cls, written: Mapping[str, Any]) -> Iterable[Mistake]:
        """Reasoning is asked for in one of the two ways."""
        if (said(written, "effort") is None) == (said(written, "max_tokens") is None):
            yield mistake((), "missing_for_type", "one of `effort` and `max_tokens`", written)


class LogprobsConfig(Section):
    """Says what is made of the probabilities of an answer's tokens: a confidence, as a field of the output. The short
    form is `true`, or the name of an output field."""

    of: str | None = Field(
        None,
        min_length=1,
        description="The output field whose value's probability it is. Default: the geometric mean over all tokens.",
    )
    into: str = Field("confidence", min_length=1, description="The field that is added to the output, from 0 to 1.")

    @classmethod
    def long_form(cls, written: Any) -> Any:
        if written is True:
            return {}
        return {"of": written} if isinstance(written, str) else written


class AskingOptions(Section):
    """Holds the keys of a section that say how its models are asked."""

    seed: int | None = Field(
        None,
        ge=0,
        lt=2**31,
        description="The seed of the model's choices, where its protocol has one. Samples and repeated questions add "
        "their number to it.",
    )
    reasoning: ReasoningConfig | None = Field(
        None, description="How much the model reasons: `low`, `{effort: high}`, or a number of tokens."
    )
    cache_prompt: bool = Field(
        False,
        description="Have the provider keep what is the same for every record, where it has to be asked to "
        "(Anthropic). Later questions pay less for it, and the first a little more.",
    )

    @property
    def asking(self) -> "Asking":
        """Return the options as a value."""
        reasoning = self.reasoning or ReasoningConfig(effort="none")
        return Asking(
            seed=self.seed,
            effort=None if self.reasoning is None else reasoning.effort,
            reasoning_tokens=reasoning.max_tokens,
            cache_prompt=self.cache_prompt,
        )


@dataclass(frozen=True, slots=True)
class Asking:
    """Holds the options of a call."""

    seed: int | None = None
    effort: Effort | None = None
    reasoning_tokens: int | None = None
    """The most tokens of reasoning."""
    logprobs: bool = False
    """Tells whether the probabilities of the answer's tokens are asked for."""
    cache_prompt: bool = False
    """Tells whether the provider is asked to keep what is the same for every record. It decides no answer."""

    @property
    def named(self) -> Iterator[str]:
        """Yield the options that are set, by the keys of the pipeline file."""
        if self.seed is not None:
            yield "seed"
        if self.effort is not None:
            yield "reasoning.effort"
        if self.reasoning_tokens is not None:
            yield "reasoning.max_tokens"
        if self.logprobs:
            yield "logprobs"
        if self.cache_prompt:
            yield "cache_prompt"

    @property
    def identity(self) -> list[object]:
        """Return JSON values that are equal for options that lead to equal answers; empty where there are none."""
        deciding: list[object] = [self.seed, self.effort, self.reasoning_tokens, self.logprobs]
        return deciding if any(each is not None and each is not False for each in deciding) else []

    def of_another_model(self, provider: str) -> "Asking":
        """Return the options for a model that answers in place of another one: those that its protocol has. How much a
        model reasons is said of one model."""
        has = options_of(provider)
        return replace(
            self,
            seed=self.seed if "seed" in has else None,
            effort=None,
            reasoning_tokens=None,
            logprobs=self.logprobs and "logprobs" in has,
            cache_prompt=self.cache_prompt and "cache_prompt" in has,
        )


ASKED_PLAINLY = Asking()


def options_of(provider: str) -> frozenset[str]:
    """Return the options that a provider's protocol has. Raises `PluginUnusable`."""
    return frozenset() if provider in ADAPTED else _HAS.get(protocol_of(provider), frozenset())


def refused_option(asking: Asking, model: str, provider: str) -> str | None:
    """Return a sentence that names an option which the protocol of a model's provider does not have; None where it has
    all of them. Raises `PluginUnusable`."""
    has = options_of(provider)
    for name in asking.named:
        if name not in has:
            others = " or ".join(sorted(each for each, options in _HAS.items() if name in options))
            return f"{model}: Loom's protocol for {provider} has no `{name}`. Leave it out, or ask a model of {others}."
    if provider == "anthropic" and asking.reasoning_tokens is not None and asking.reasoning_tokens < LEAST_REASONING:
        return f"{model}: {provider} takes no `reasoning.max_tokens` below {LEAST_REASONING:,}."
    return None


def probability_field(transform: Any) -> str | None:
    """Return the field that `logprobs` adds to the output of a transform, as written or as a model; None for none."""
    logprobs = LogprobsConfig.long_form(said(transform, "logprobs"))
    return None if logprobs in (None, False) else said(logprobs, "into") or "confidence"


def asking_mistakes(written: Mapping[str, Any]) -> Iterator[Mistake]:
    """Yield what does not fit together in a transform that says how its model is asked."""
    reasoning, longest = ReasoningConfig.long_form(said(written, "reasoning")), said(written, "max_tokens")
    tokens = said(reasoning, "max_tokens")
    if isinstance(tokens, int) and isinstance(longest, int) and tokens >= longest:
        expected = f"more than {tokens}, because `max_tokens` counts the {tokens} tokens of reasoning, too"
        yield mistake(("max_tokens",), "bounds", expected, longest)
    logprobs = said(written, "logprobs")
    if logprobs in (None, False):
        return
    logprobs = LogprobsConfig.long_form(logprobs)
    output = said(written, "output")
    fields = output.get("properties", output) if isinstance(output, Mapping) else {}
    of, into = said(logprobs, "of"), probability_field(written)
    if isinstance(of, str) and (not isinstance(fields, Mapping) or of not in fields):
        listed = f" ({', '.join(map(str, fields))})" if fields else ""
        yield mistake(("logprobs",), "field", f"a field that `output` declares{listed}", of)
    if isinstance(fields, Mapping) and into in fields:
        expected = f"another name than `{into}` in `into`, which `output` has: the probability is added to it"
        yield mistake(("logprobs",), "strange_for_type", expected, into)
    together = said(written, "records_per_call")
    if isinstance(together, int) and together > 1:
        expected = "no `logprobs` beside `records_per_call`: the tokens would be those of several records"
        yield mistake(("logprobs",), "strange_for_type", expected, logprobs)
    if said(written, "cascade") is not None:
        expected = "no `logprobs` beside `cascade`: write `cascade.confidence: {logprobs: true}`, or a field"
        yield mistake(("logprobs",), "strange_for_type", expected, logprobs)
