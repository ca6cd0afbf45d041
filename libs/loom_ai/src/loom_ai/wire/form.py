"""How an answer is held to a schema. Endpoints differ in what they take: Loom asks in the strongest form an endpoint
takes, and validates the answer whatever the form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

import orjson

from loom_ai.ports import ChatMessage, ModelAnswer, ModelCall
from loom_ai.wire.usage import Counted


class Form(StrEnum):
    """How an answer is asked for, strongest first."""

    JSON_SCHEMA = "json_schema"
    JSON_OBJECT = "json_object"
    PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class Manner:
    """How an endpoint wants to be asked, as far as its refusals have told."""

    temperature: bool = True
    """Whether it takes one."""
    limit: str | None = None
    """Under which name it takes the longest answer; None for the protocol's usual one."""


USUAL = Manner()


class Reading(Protocol):
    """How the responses of a provider's protocol are read."""

    def parsed(self, body: bytes, /) -> Any:
        """The document of a response. Raises `NoAnswer` where it is none."""
        ...

    def answer_of(self, document: Any, call: ModelCall, latency: float) -> ModelAnswer:
        """What the document of a response says. Raises `NoAnswer` where it holds no answer of this protocol."""
        ...

    def counted(self, document: Any) -> Counted:
        """What a document says of tokens, whatever else it says."""
        ...


@runtime_checkable
class Wire(Reading, Protocol):
    """A provider's protocol."""

    def forms(self, call: ModelCall) -> tuple[Form, ...]:
        """The forms a call may take, strongest first."""
        ...

    def url(self, base_url: str, _model: str, /) -> str:
        """Where a call is sent."""
        ...

    def headers(self, secret: str | None) -> dict[str, str]:
        """What is sent with every call; `secret` is the key."""
        ...

    def request_body(self, call: ModelCall, form: Form, manner: Manner = USUAL) -> bytes:
        """The JSON of a request."""
        ...

    def limits(self, base_url: str, /) -> tuple[str, ...]:
        """The names under which an endpoint may know the longest answer, the usual one first."""
        ...


def described(call: ModelCall, form: Form) -> tuple[ChatMessage, ...]:
    """The conversation, with the schema in the words of a system message where the form carries none itself."""
    if call.schema is None or form is Form.JSON_SCHEMA:
        return call.messages
    schema = orjson.dumps(call.schema).decode()
    words = f"Answer with one JSON object and nothing else. It must fit this JSON Schema: {schema}"
    return (ChatMessage("system", words), *call.messages)


def merged(body: dict[str, Any], call: ModelCall, parameters: dict[str, Any]) -> bytes:
    """The JSON of a request, with what the pipeline sends besides: its parameters among the protocol's `parameters`, a
    part of `body` or all of it, and the other fields where they belong."""
    if call.extras:
        parameters |= call.extras.params
        _merge(body, call.extras.body)
    return orjson.dumps(body)


def _merge(into: dict[str, Any], more: Mapping[str, Any]) -> None:
    for name, value in more.items():
        if isinstance(value, dict) and isinstance(into.get(name), dict):
            _merge(into[name], value)
        else:
            into[name] = value
