"""Finds the endpoint that a pipeline means by `model`, `base_url` and `providers`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from loom_common.domain.embedding_model import EmbeddingConfig
from loom_common.domain.model_options.call_options import NOTHING_BESIDES, Extras
from loom_common.domain.model_options.providers import (
    ProviderConfig,
    RateLimit,
    known_provider,
    provider_named,
    split_model,
)
from loom_common.domain.values.durations import seconds
from loom_common.plugins.registry import is_reference


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Names a model and the endpoint that serves it."""

    provider: str
    """The name of a known provider, which says how it is spoken to."""
    model: str
    base_url: str
    """The endpoint's address. It may hold credential references."""
    api_key: str | None = None
    """A credential reference. None means the provider's usual one, where it is set; an empty text means no key."""
    timeout: float | None = None
    """The number of seconds that one attempt may take; None for the client's own limits."""
    rate_limit: RateLimit | None = None
    concurrency: int | None = None
    """The most calls in flight at once; None for the client's own limit."""
    served_by: str | None = None
    """The provider's name in the pipeline, where the pipeline defines it under a name of its own."""
    extras: Extras = NOTHING_BESIDES
    """Parameters, fields and headers that the pipeline adds to each request."""


def endpoint_of(
    model: str,
    base_url: str | None = None,
    environ: Mapping[str, str] | None = None,
    providers: Mapping[str, ProviderConfig] | None = None,
    api_key: str | None = None,
) -> Endpoint:
    """Return the endpoint of `provider:model`.

    Each setting comes from the arguments, else from `providers`, else from the environment (`OPENAI_BASE_URL`), else
    from the provider's defaults. A model without a provider is OpenAI's, or that of the OpenAI-compatible server at
    `base_url`."""
    environ = os.environ if environ is None else environ
    configured = dict(providers or {})
    name, model = split_model(model, configured)
    said = configured.get(name, ProviderConfig())
    known = known_provider(name)
    kind = name
    if known is None or (said.type is not None and said.type != known.wire):
        kind = said.type or "openai"
        known = known_provider(kind) if is_reference(kind) else known
    usual = environ.get(provider_named(kind).base_url_variable or "") if known else None
    url = base_url or said.base_url or usual or provider_named(kind).base_url
    return Endpoint(
        provider=kind,
        model=model,
        base_url=url.rstrip("/"),
        # OpenAI's key is not sent to other servers that offer the same protocol.
        api_key=api_key or said.api_key or (None if known else ""),
        timeout=None if said.timeout is None else seconds(said.timeout),
        rate_limit=said.rate_limit,
        concurrency=said.concurrency,
        served_by=None if name == kind else name,
        extras=said.extras,
    )


def endpoints_of(
    models: Sequence[str],
    base_url: str | None = None,
    api_key: str | None = None,
    timeout: float | None = None,
    rate_limit: RateLimit | None = None,
    providers: Mapping[str, ProviderConfig] | None = None,
    extras: Extras = NOTHING_BESIDES,
) -> list[Endpoint]:
    """Return the endpoints of several models.

    `base_url`, `api_key` and `extras` apply to the first model and to the others of the same provider. `timeout`
    (seconds) and `rate_limit` apply to all."""
    first, _ = split_model(models[0], dict(providers or {}))
    endpoints = []
    for model in models:
        alike = split_model(model, dict(providers or {}))[0] == first
        endpoint = endpoint_of(
            model, base_url if alike else None, providers=providers, api_key=api_key if alike else None
        )
        endpoints.append(
            replace(
                endpoint,
                timeout=timeout or endpoint.timeout,
                rate_limit=rate_limit or endpoint.rate_limit,
                extras=endpoint.extras.outweighed_by(extras) if alike else endpoint.extras,
            )
        )
    return endpoints


def judge_endpoint(
    model: str,
    base_url: str | None,
    api_key: str | None,
    judged: tuple[str, str | None, str | None],
    providers: Mapping[str, ProviderConfig] | None = None,
) -> Endpoint:
    """Return the endpoint of a model that judges another one's answers. `judged` holds the other one's model,
    `base_url` and `api_key`, which apply to the judge, too, where it has none of its own and is of the same
    provider."""
    if base_url is not None or api_key is not None:
        return endpoint_of(model, base_url, providers=providers, api_key=api_key)
    other, its_base_url, its_api_key = judged
    return endpoints_of((other, model), its_base_url, its_api_key, providers=providers)[1]


def embedding_endpoint(
    embedding: EmbeddingConfig,
    beside: tuple[str | None, str | None, str | None],
    providers: Mapping[str, ProviderConfig] | None = None,
) -> Endpoint:
    """Return the endpoint of a model that compares texts. `beside` holds the `model`, `base_url` and `api_key` of what
    asks a model beside it, or None, None, None, which apply to it as to a judge."""
    model, base_url, api_key = beside
    asked = (embedding.model if model is None else model, base_url, api_key)
    return judge_endpoint(embedding.model, embedding.base_url, embedding.api_key, asked, providers)


def calls_at_once(endpoints: Iterable[Endpoint]) -> int | None:
    """Return how many calls to all of them together one worker may have in flight, by what is configured; None where
    nothing is. A worker with fewer questions than that takes more messages."""
    configured = {(each.base_url, each.model, each.api_key): each.concurrency for each in endpoints if each.concurrency}
    return sum(filter(None, configured.values())) or None
