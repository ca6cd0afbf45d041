"""Defines the three ways of holding an answer to a JSON schema, and what a provider's protocol has to offer.

Endpoints differ in what they accept. Loom uses the strictest way that an endpoint accepts, and validates every
answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

import orjson

from loom_ai.ports import ChatMessage, ModelAnswer, ModelCall
from loom_ai.wire.usage import ReportedUsage


class Form(StrEnum):
    """Lists how an answer is held to a schema, strictest first."""

    JSON_SCHEMA = "json_schema"
    JSON_OBJECT = "json_object"
    PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class AcceptedParameters:
    """Holds the optional parameters that an endpoint accepts, as far as its error responses have shown."""

    temperature: bool = True
    """Tells whether the endpoint accepts a temperature."""
    limit: str | None = None
    """The name of the parameter that limits the answer's tokens; None for the protocol's usual name."""


ALL_ACCEPTED = AcceptedParameters()


class ResponseReader(Protocol):
    """Reads the responses of a provider's protocol."""

    def parsed(self, body: bytes, /) -> Any:
        """Return the response body as a document. Raises `NoAnswer` where it is not one."""
        ...

    def answer_of(self, document: Any, call: ModelCall, latency: float) -> ModelAnswer:
        """Return the answer in a document; `latency` is in seconds. Raises `NoAnswer` where it holds no answer of this
        protocol."""
        ...

    def counted(self, document: Any) -> ReportedUsage:
        """Return the token counts in a document, unchecked. It never raises."""
        ...


@runtime_checkable
class Wire(ResponseReader, Protocol):
    """Represents a provider's protocol."""

    def forms(self, call: ModelCall) -> tuple[Form, ...]:
        """Return the forms that the protocol has for this call, strictest first."""
        ...

    def url(self, base_url: str, _model: str, /) -> str:
        """Return the URL that a call is posted to."""
        ...

    def headers(self, secret: str | None) -> dict[str, str]:
        """Return the headers of every request; `secret` is the API key."""
        ...

    def request_body(self, call: ModelCall, form: Form, accepted: AcceptedParameters = ALL_ACCEPTED) -> bytes:
        """Return the JSON body of a request."""
        ...

    def limits(self, base_url: str, /) -> tuple[str, ...]:
        """Return the names that endpoints use for the limit of the answer's tokens, the protocol's usual one first."""
        ...


def messages_with_schema(call: ModelCall, form: Form) -> tuple[ChatMessage, ...]:
    """Return the messages of a call. Where the form carries no schema, a system message in front of them describes
    it."""
    if call.schema is None or form is Form.JSON_SCHEMA:
        return call.messages
    schema = orjson.dumps(call.schema).decode()
    words = f"Answer with one JSON object and nothing else. It must fit this JSON Schema: {schema}"
    return (ChatMessage("system", words), *call.messages)


def seed_of(call: ModelCall) -> int:
    """Return the seed of a call. With the same seed each sample, and a question that is asked anew, would have the same
    answer, so their number is added."""
    return (call.asking.seed or 0) + call.sample + call.again


def encoded_request(body: dict[str, Any], call: ModelCall, parameters: dict[str, Any]) -> bytes:
    """Return the request as JSON, with the fields that the pipeline adds.

    `call.extras.params` are put into `parameters`, which is `body` or an object inside it; `call.extras.body` is merged
    into `body`."""
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
