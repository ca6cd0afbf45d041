"""Writes model calls as JSON and reads them again, so that another process can send a request and read its answer."""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from typing import Any

from loom_ai.ports import ChatMessage, ModelCall
from loom_common.domain.model_options.asking import Asking
from loom_common.domain.model_options.call_options import Extras

_APART = frozenset({"messages", "extras", "asking"})
_NEVER = frozenset({"tools", "tools_closed", "sealed", "embedding"})
"""Holds what no call has that goes into a batch."""
_NOT_SENT = frozenset({"rate_limit", "concurrency", "judged"})
"""Holds what limits calls that are asked directly, and says nothing to a batch."""
_PLAIN = tuple(each.name for each in fields(ModelCall) if each.name not in _APART | _NEVER | _NOT_SENT)


def written(call: ModelCall) -> dict[str, Any]:
    """Return the call as JSON values. Credentials in it stay references."""
    return {
        **{name: getattr(call, name) for name in _PLAIN},
        "messages": [[each.role, each.content] for each in call.messages],
        "extras": call.extras.identity,
        "asking": asdict(call.asking),
    }


def read(document: dict[str, Any]) -> ModelCall:
    """Return the call that `written` wrote."""
    params, body, headers = document["extras"]
    return ModelCall(
        **{name: document[name] for name in _PLAIN if name in document},
        messages=tuple(ChatMessage(role, content) for role, content in document["messages"]),
        extras=Extras(params, body, headers),
        asking=Asking(**document.get("asking", {})),
    )


def without_words(call: ModelCall) -> ModelCall:
    """Return the call without what it asks, for what holds of all requests of a batch."""
    return replace(call, messages=(), schema=None, again=0)
