"""Tells which providers have a batch API that Loom speaks."""

from __future__ import annotations

from loom_common.domain.model_options.providers import provider_named
from loom_common.errors import PermanentError


def speaks_batches(provider: str, served_by: str | None) -> bool:
    """Tell whether the provider of an endpoint has a batch API that Loom speaks, or may have one: a provider that only
    the pipeline knows is taken at its word."""
    known = provider_named(provider)
    if known.protocol is not None or known.wire not in ("openai", "anthropic", "google"):
        return False
    return known.batch_price is not None or served_by is not None


def see_that_it_speaks_batches(call_provider: str, served_by: str | None) -> None:
    """Raise `PermanentError` where the provider has no batch API that Loom speaks."""
    if not speaks_batches(call_provider, served_by):
        raise PermanentError(
            f"`execution: batch`: Loom knows no batch API of the provider {served_by or call_provider}. It knows those "
            "of openai, anthropic, google, groq, together and vllm, and of a provider of your own with `type: openai`. "
            "Take `execution` out, or name another model."
        )
