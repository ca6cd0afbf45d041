"""Writes model calls as JSON and reads them again, so that another process can send a request and read its answer."""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from typing import Any

import orjson

from loom_ai.ports import ChatMessage, ModelCall, ToolSpec
from loom_common.domain.model_options.asking import Asking
from loom_common.domain.model_options.call_options import Extras

_APART = frozenset({"messages", "extras", "asking", "tools"})
_NEVER = frozenset({"sealed", "embedding"})
"""Holds what no call has that goes into a batch."""
_NOT_SENT = frozenset({"rate_limit", "concurrency", "judged"})
"""Holds what limits calls that are asked directly, and says nothing to a batch."""
_AROUND = 1024
"""Bytes around the texts of a request: its name, its parameters, and the names of its fields."""
_PLAIN = tuple(each.name for each in fields(ModelCall) if each.name not in _APART | _NEVER | _NOT_SENT)


def written(call: ModelCall) -> dict[str, Any]:
    """Return the call as JSON values. Credentials in it stay references."""
    return {
        **{name: getattr(call, name) for name in _PLAIN},
        "messages": [[each.role, each.content] for each in call.messages],
        "extras": call.extras.identity,
        "asking": asdict(call.asking),
        "tools": [[tool.name, tool.description, dict(tool.parameters)] for tool in call.tools],
    }


def read(document: dict[str, Any]) -> ModelCall:
    """Return the call that `written` wrote."""
    params, body, headers = document["extras"]
    return ModelCall(
        **{name: document[name] for name in _PLAIN if name in document},
        messages=tuple(ChatMessage(role, content) for role, content in document["messages"]),
        extras=Extras(params, body, headers),
        asking=Asking(**document.get("asking", {})),
        tools=tuple(ToolSpec(*tool) for tool in document.get("tools", ())),
    )


def without_words(call: ModelCall) -> ModelCall:
    """Return the call without what it asks, for what holds of all requests of a batch."""
    return replace(call, messages=(), schema=None, again=0, tools=())


def size_of(call: ModelCall) -> int:
    """Return the most bytes that the call's request has in what is submitted, whichever protocol writes it. Texts are
    counted as JSON has them, where a line break or a quotation mark is two bytes. A schema counts twice, because an
    endpoint that takes none is told of it in words."""
    words = sum(len(orjson.dumps(message.content.encode("utf-8", "replace").decode())) for message in call.messages)
    told = written(call)
    beside = orjson.dumps([told["tools"], told["extras"]], default=str)
    return _AROUND + words + 64 * len(call.messages) + 2 * len(orjson.dumps(call.schema, default=str)) + len(beside)
