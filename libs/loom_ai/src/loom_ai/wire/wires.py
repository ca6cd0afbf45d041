"""Chooses the protocol that a provider is spoken to in: one of Loom's, or a plugin's own."""

from __future__ import annotations

from loom_ai.ports import ModelCall
from loom_ai.wire import anthropic, embeddings, google, openai
from loom_ai.wire.form import Wire
from loom_common.domain.model_options.providers import provider_named
from loom_common.errors import PluginUnusable

_WIRES: dict[str, Wire] = {"openai": openai, "anthropic": anthropic, "google": google}


def wire_for(call: ModelCall) -> Wire:
    """Choose the protocol of a call. Raises `PluginUnusable` as `wire_of` does."""
    return embeddings if call.embedding else wire_of(call.provider)


def wire_of(provider: str) -> Wire:
    """Choose the protocol of a provider that needs no extra. Raises `PluginUnusable` where it is not here, or its
    protocol has not the functions of one."""
    known = provider_named(provider)
    if known.protocol is None:
        return _WIRES[known.wire]
    if isinstance(known.protocol, Wire):
        return known.protocol
    raise PluginUnusable(f"The protocol of the provider '{provider}' lacks functions of `loom_ai.wire.form.Wire`.")
