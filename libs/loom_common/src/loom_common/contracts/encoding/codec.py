"""Encodes and decodes messages: JSON in UTF-8, compressed with zstd above 64 KB (`content_encoding: zstd`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import zstandard
from pydantic import BaseModel, ValidationError
from pydantic_core import to_json

from loom_common.contracts.encoding.message_types import BY_TYPE
from loom_common.contracts.envelope import Message, Outgoing
from loom_common.errors import UnreadableMessage
from loom_common.flow import Exchange
from loom_common.ports.bus import Delivery, Wire
from loom_common.ports.tracing import TRACEPARENT, tracer
from loom_common.text import readable, storable_value

COMPRESS_ABOVE = 64 * 1024
"""Holds the bytes of JSON above which a body is compressed."""
LARGEST_BODY = 1024 * 1024 * 1024
"""The most bytes that a compressed body may decompress to."""

JSON = "application/json"
ZSTD = "zstd"


def encode(outgoing: Outgoing, app_id: str, *, hands_over: bool = False) -> Wire:
    """Return the message as it is published, on a bus that `hands_over` messages or on another one.

    A work message is encoded exactly: raises `ValueError` where it holds what UTF-8 JSON cannot. It is given along with
    its encoding, because it is what a consumer would decode; a bus that hands messages over needs no encoding of it. In
    a reporting message such values are replaced, because the report of a failure must not fail."""
    message = outgoing.message
    exact = outgoing.route.exchange == Exchange.WORK
    body, encoding = (b"", None) if exact and hands_over else _encoded(message, exact=exact)
    headers: dict[str, str | int] = {"loom-attempt": outgoing.attempt}
    if (epoch := epoch_of(message)) is not None:
        headers["loom-epoch"] = epoch
    if (traceparent := tracer().traceparent(message.correlation_id)) is not None:
        headers[TRACEPARENT] = traceparent
    return Wire(
        exchange=outgoing.route.exchange,
        routing_key=outgoing.route.key,
        body=body,
        type=message.type,
        message_id=message.message_id,
        correlation_id=readable(outgoing.correlation_id or message.correlation_id),
        content_type=JSON,
        content_encoding=encoding,
        reply_to=outgoing.reply_to,
        app_id=app_id,
        headers=headers,
        mandatory=outgoing.mandatory,
        message=message if exact else None,
    )


def _encoded(message: Message, *, exact: bool) -> tuple[bytes, str | None]:
    """Return the body of a message, and its content encoding."""
    try:
        body = message.__pydantic_serializer__.to_json(message, by_alias=True)
    except ValueError:
        if exact:
            raise
        body = to_json(storable_value(_plain(message)))
    return (body, None) if len(body) <= COMPRESS_ABOVE else (zstandard.compress(body, 1), ZSTD)


def _plain(part: Any) -> Any:
    """Return a message as plain values without the serializer, which has failed on it."""
    if isinstance(part, BaseModel):
        return {name: _plain(getattr(part, name)) for name in type(part).model_fields}
    if is_dataclass(part) and not isinstance(part, type):
        return {each.name: _plain(getattr(part, each.name)) for each in fields(part)}
    if isinstance(part, Mapping):
        return {name: _plain(each) for name, each in part.items()}
    return [_plain(each) for each in part] if isinstance(part, list | tuple) else part


def epoch_of(message: Message) -> int | None:
    """Return the epoch of a message; None where it has none."""
    header = getattr(message, "header", message)
    return getattr(header, "epoch", None)


def body_of(delivery: Delivery) -> bytes:
    """Return the JSON bytes of a delivery. Raises `UnreadableMessage`."""
    if delivery.content_encoding not in (None, "", ZSTD):
        raise UnreadableMessage(f"unknown content encoding {delivery.content_encoding!r}; expected none or zstd")
    if delivery.content_encoding != ZSTD:
        return delivery.body
    try:
        # The library takes a size that the body tells for true, and passes its own limit over.
        if (told := zstandard.frame_content_size(delivery.body)) > LARGEST_BODY:
            raise UnreadableMessage(f"the body unpacks to {told:,} bytes, more than {LARGEST_BODY:,}")
        return zstandard.ZstdDecompressor().decompress(delivery.body, max_output_size=LARGEST_BODY)
    except zstandard.ZstdError as error:
        raise UnreadableMessage(f"the body is marked zstd but cannot be unpacked: {error}") from error


def decode(delivery: Delivery, *accepted: type[Message], default: type[Message] | None = None) -> Message:
    """Return the message in a delivery, which is decoded unless the bus hands it over. `default` is the class of a
    message without a type, such as a plain client's request.

    Raises `UnreadableMessage` for invalid JSON, an unknown type, a future version or a missing field."""
    known = BY_TYPE.get(delivery.type or "") if delivery.type or default is None else default
    if known is None:
        raise UnreadableMessage(f"unknown message type {delivery.type!r}")
    if accepted and known not in accepted:
        expected = ", ".join(message.type for message in accepted)
        raise UnreadableMessage(f"message type {delivery.type!r} has no business here; expected {expected}")
    if isinstance(delivery.message, known):
        return delivery.message
    try:
        return known.model_validate_json(body_of(delivery))
    except ValidationError as error:
        raise UnreadableMessage(f"{known.type}: {_first_words(error)}") from error


def _first_words(error: ValidationError) -> str:
    details = error.errors(include_url=False, include_input=False, include_context=False)
    words = [f"{'.'.join(map(str, detail['loc'])) or 'body'}: {detail['msg']}" for detail in details[:5]]
    more = f" (and {len(details) - 5} more)" if len(details) > 5 else ""
    return "; ".join(words) + more
