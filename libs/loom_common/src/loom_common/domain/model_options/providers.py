"""Defines the model providers: those that Loom knows, and those that a user configures."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from loom_common.domain.model_options.call_options import CallOptions
from loom_common.domain.section import Mistake, SecretRef, Section, WebLocation, mistake, said
from loom_common.domain.values.durations import Limit
from loom_common.domain.values.near import closest
from loom_common.errors import PluginUnusable
from loom_common.plugins.kinds import Kind
from loom_common.plugins.registry import find, is_reference, names

Wire = Literal["openai", "anthropic", "google", "bedrock", "cohere"]
"""Holds the protocols of endpoints."""


@dataclass(frozen=True, slots=True)
class Provider:
    """Describes a provider that Loom knows by name."""

    base_url: str
    key: str | None = None
    """The reference of its default key, which is sent if it is set; None where the provider needs no key."""
    wire: Wire = "openai"
    base_url_variable: str | None = None
    """The environment variable that usually names another endpoint of it."""
    batch_price: float | None = None
    """The share of the usual price that its batch API costs; None where it has none that Loom speaks."""
    protocol: object | None = None
    """Is, for a provider of a plugin, a module or object that words questions and reads answers, as
    `loom_ai.wire.form.Wire` says. None where the provider speaks one of Loom's protocols, which `wire` names."""


PROVIDERS = {
    "openai": Provider(
        "https://api.openai.com/v1", "${OPENAI_API_KEY}", base_url_variable="OPENAI_BASE_URL", batch_price=0.5
    ),
    "anthropic": Provider(
        "https://api.anthropic.com/v1",
        "${ANTHROPIC_API_KEY}",
        "anthropic",
        base_url_variable="ANTHROPIC_BASE_URL",
        batch_price=0.5,
    ),
    "google": Provider(
        "https://generativelanguage.googleapis.com/v1beta", "${GEMINI_API_KEY}", "google", batch_price=0.5
    ),
    "bedrock": Provider(
        "https://bedrock-runtime.${AWS_REGION}.amazonaws.com", "${AWS_BEARER_TOKEN_BEDROCK}", "bedrock"
    ),
    "cohere": Provider("https://api.cohere.com", "${CO_API_KEY}", "cohere"),
    "deepseek": Provider("https://api.deepseek.com/v1", "${DEEPSEEK_API_KEY}"),
    "fireworks": Provider("https://api.fireworks.ai/inference/v1", "${FIREWORKS_API_KEY}"),
    "groq": Provider("https://api.groq.com/openai/v1", "${GROQ_API_KEY}", batch_price=0.5),
    "huggingface": Provider("https://router.huggingface.co/v1", "${HF_TOKEN}"),
    "mistral": Provider("https://api.mistral.ai/v1", "${MISTRAL_API_KEY}"),
    "openrouter": Provider("https://openrouter.ai/api/v1", "${OPENROUTER_API_KEY}"),
    "together": Provider("https://api.together.xyz/v1", "${TOGETHER_API_KEY}", batch_price=0.5),
    "xai": Provider("https://api.x.ai/v1", "${XAI_API_KEY}"),
    "ollama": Provider("http://localhost:11434/v1"),
    "vllm": Provider("http://localhost:8000/v1", batch_price=1.0),
    "llamacpp": Provider("http://localhost:8080/v1"),
    "simulated": Provider("http://127.0.0.1:8089/v1", base_url_variable="SIMULATED_BASE_URL", batch_price=0.5),
}
"""Holds the known providers, by the name in front of the colon in `model`."""

ADAPTED = frozenset({"bedrock", "cohere"})
"""Holds the providers whose protocol Loom does not implement. They need an extra package (docs/adr/0009)."""


def known_provider(name: str) -> Provider | None:
    """Return the provider of that name, Loom's own or a plugin's; None where there is none. Raises `PluginUnusable`."""
    if name in PROVIDERS:
        return PROVIDERS[name]
    found = find(Kind.PROVIDER, name)
    if found is None or isinstance(found, Provider):
        return found
    raise PluginUnusable(f"The provider '{name}' is {type(found).__name__}, and not a Provider.")


def provider_named(name: str) -> Provider:
    """Return the provider of that name. Raises `PluginUnusable` where there is none here."""
    if (known := known_provider(name)) is None:
        raise PluginUnusable(
            f"There is no model provider '{name}' here; known: {', '.join(provider_names())}. Install the package that "
            "brings it."
        )
    return known


def protocol_of(name: str) -> str:
    """Return the name of the protocol that a known provider is spoken to in; `plugin` for one of a plugin's own. Raises
    `PluginUnusable`."""
    provider = provider_named(name)
    return provider.wire if provider.protocol is None else "plugin"


def provider_names() -> list[str]:
    """Return every provider that is known by name. Imports none."""
    return [*PROVIDERS, *names(Kind.PROVIDER)]


def is_known(name: str) -> bool:
    """Tell whether a provider is known by that name. Imports none."""
    return name in PROVIDERS or name in names(Kind.PROVIDER)


def _of_module(name: str) -> str:
    if not is_reference(name):
        raise PydanticCustomError("function_reference", "`module:name` of a `loom.plugins.Provider`")
    try:
        known_provider(name)
    except PluginUnusable as error:
        words = f"a provider that can be used ({str(error).rstrip('.')})"
        raise PydanticCustomError("plugin_unusable", "{expected}", {"expected": words}) from error
    return name


class RateLimit(Section):
    """Holds the rate limit of a provider, for all workers together. At least one of the two limits is required."""

    requests_per_minute: int | None = Field(None, ge=1, description="In any 60 s, at each model.")
    tokens_per_minute: int | None = Field(
        None, ge=1, description="Read and written, by an estimate that is corrected with every answer."
    )

    @classmethod
    def mistakes(cls, written: Mapping[str, Any]) -> Iterable[Mistake]:
        """At least one of the limits is required."""
        if said(written, "requests_per_minute") is None and said(written, "tokens_per_minute") is None:
            yield mistake((), "missing_for_type", "`requests_per_minute` or `tokens_per_minute`", written)


class ProviderConfig(CallOptions):
    """Holds the settings of a provider: a known one, or one under a name of your own."""

    type: Wire | Annotated[str, AfterValidator(_of_module)] | None = Field(
        None,
        description="How it is spoken to: by one of Loom's protocols, or as `module:name` says, a provider of your "
        "own. Default: as the provider of that name is; `openai` for other names.",
    )
    base_url: WebLocation | None = Field(
        None, description="Where it is. Needed for names of your own, unless `type` is a provider of your own."
    )
    api_key: SecretRef | None = Field(
        None, description="A credential reference. Default: the known provider's usual one; none for other names."
    )
    timeout: Limit | None = Field(
        None, description="What one question may take, e.g. `65s` for large models. Default: 35 s, 30 s unheard."
    )
    rate_limit: RateLimit | None = Field(None, description="How much all pipelines and workers may ask together.")
    concurrency: int | None = Field(
        None, ge=1, description="Calls in flight at once, per worker and model. Default: found by itself, at most 64."
    )


def provider_mistakes(written: Any) -> Iterable[Mistake]:
    """Report the providers of a section under the user's own names that lack a base URL."""
    providers = said(written, "providers")
    for name, provider in providers.items() if isinstance(providers, Mapping) else ():
        kind = said(provider, "type")
        placed = said(provider, "base_url") or is_known(name) or (isinstance(kind, str) and is_reference(kind))
        if isinstance(provider, Mapping | ProviderConfig) and not placed:
            expected = f"`base_url` for the provider {name}, which is none of {', '.join(provider_names())}"
            yield mistake(("providers", name), "missing_for_type", expected, provider)


_TAG = re.compile(r"(v?\d|latest|instruct|chat|text|code|base|mini|small|medium|large|vision|cloud|e\d)", re.IGNORECASE)
"""Matches the beginning of a tag after the colon in a local model's name: `llama3.2:1b`, `mixtral:8x7b`,
`phi3:mini`."""


def model_mistake(model: str, configured: Collection[str]) -> str | None:
    """Return what was expected where the prefix of `provider:model` resembles a provider; None where it is one, or
    where the colon belongs to the model's name."""
    prefix, colon, rest = model.partition(":")
    if not colon or not rest or prefix in PROVIDERS or prefix in configured or is_known(prefix):
        return None
    known = [*provider_names(), *configured]
    near = closest(prefix, known, 0.75)
    unlike = any(each.isdigit() or each in "-/." for each in prefix if each not in (near or ""))
    if near is None or unlike or (_TAG.match(rest) and prefix.lower() != near):
        return None
    return f"{near}:{rest}"


def split_model(model: str, configured: dict[str, ProviderConfig] | None = None) -> tuple[str, str]:
    """Return the provider and the model that `provider:model` names.

    A prefix that is no provider belongs to the model, as in `llama3.2:1b`. Without a provider, it is OpenAI or a
    compatible server."""
    prefix, colon, rest = model.partition(":")
    if colon and rest and (prefix in (configured or {}) or is_known(prefix)):
        return prefix, rest
    return "openai", model


def has_embeddings(provider: str) -> bool:
    """Tell whether a provider speaks OpenAI's protocol, which has embeddings."""
    known = provider_named(provider)
    return known.protocol is None and known.wire == "openai" and provider not in ADAPTED


def has_tools(provider: str) -> bool:
    """Tell whether Loom's protocol for a provider has tools."""
    return provider_named(provider).protocol is None and provider not in ADAPTED
