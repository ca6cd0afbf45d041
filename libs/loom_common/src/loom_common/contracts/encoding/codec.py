"""Encodes and decodes messages: JSON in UTF-8, compressed with zstd above 256 KB (`content_encoding: zstd`).

The records of a batch are decoded when they are read, where its producer said at which byte they begin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import zstandard
from pydantic import BaseModel, ValidationError
from pydantic_core import to_json

from loom_common.contracts.encoding.message_types import BY_TYPE
from loom_common.contracts.envelope import Message, Outgoing
from loom_common.contracts.records import EncodedRecords, encoded
from loom_common.contracts.v1.batches import Batch, BatchHeader
from loom_common.contracts.validation_errors import in_words
from loom_common.errors import UnreadableMessage
from loom_common.flow import Exchange
from loom_common.ports.bus import Delivery, Wire
from loom_common.ports.tracing import TRACEPARENT, tracer
from loom_common.text import readable, storable_value

COMPRESS_ABOVE = 256 * 1024
"""Holds the bytes of JSON above which a body is compressed: as it is, it would be too large for the broker."""
LARGEST_BODY = 1024 * 1024 * 1024
"""The most bytes that a compressed body may decompress to."""

JSON = "application/json"
ZSTD = "zstd"
RECORDS_AT = "loom-records-at"
"""The header that says at which byte of the JSON the records of a batch begin, one a line, up to the last byte but
one. A batch without it is decoded as a whole."""
_HEADER, _RECORDS = b'{"header":', b',"records":'


def encode(outgoing: Outgoing, app_id: str, *, hands_over: bool = False) -> Wire:
    """Return the message as it is published, on a bus that `hands_over` messages or on another one.

    A work message is encoded exactly: raises `ValueError` where it holds what UTF-8 JSON cannot. It is given along with
    its encoding, because it is what a consumer would decode; a bus that hands messages over needs no encoding of it,
    and asks the message for its id. In a reporting message such values are replaced, because the report of a failure
    must not fail; one that holds none is handed over, too."""
    message = outgoing.message
    exact = outgoing.route.exchange == Exchange.WORK
    handed_over = hands_over and (exact or message.equals_its_encoding)
    headers: dict[str, str | int] = {"loom-attempt": outgoing.attempt}
    body, encoding = (b"", None) if handed_over else _encoded(message, headers, exact=exact)
    if (epoch := epoch_of(message)) is not None:
        headers["loom-epoch"] = epoch
    if (traceparent := tracer().traceparent(message.correlation_id)) is not None:
        headers[TRACEPARENT] = traceparent
    return Wire(
        exchange=outgoing.route.exchange,
        routing_key=outgoing.route.key,
        body=body,
        type=message.type,
        message_id="" if handed_over else message.message_id,
        correlation_id=readable(outgoing.correlation_id or message.correlation_id),
        content_type=JSON,
        content_encoding=encoding,
        reply_to=outgoing.reply_to,
        app_id=app_id,
        headers=headers,
        mandatory=outgoing.mandatory,
        message=message if exact or handed_over else None,
    )


def _encoded(message: Message, headers: dict[str, str | int], *, exact: bool) -> tuple[bytes, str | None]:
    """Return the body of a message, and its content encoding. Adds the header that says where records begin."""
    try:
        if isinstance(message, Batch):
            header = message.header
            before = _HEADER + header.__pydantic_serializer__.to_json(header, by_alias=True) + _RECORDS
            body = encoded(message.records, message.record, before, b"}")
            headers[RECORDS_AT] = len(before)
        else:
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
    body = body_of(delivery)
    if issubclass(known, Batch) and (at := _records_at(body, delivery)) is not None:
        return _with_encoded_records(known, body, at)
    try:
        return known.model_validate_json(body)
    except ValidationError as error:
        raise UnreadableMessage(f"{known.type}: {in_words(error)}") from error


def _records_at(body: bytes, delivery: Delivery) -> int | None:
    """Return the byte at which the records of a batch begin, as its producer says; None where it says nothing, or they
    are not the last field from there on."""
    at = delivery.headers.get(RECORDS_AT)
    if not isinstance(at, int) or at < len(_HEADER) + len(_RECORDS):
        return None
    found = body.startswith(_HEADER) and body[at - len(_RECORDS) : at + 2] == _RECORDS + b"[{"
    return at if found and body.endswith(b"}]}") else None


def _with_encoded_records(kind: type[Batch], body: bytes, at: int) -> Batch:
    """Return a batch whose records are decoded when they are read. Raises `UnreadableMessage` for its header."""
    try:
        header = BatchHeader.model_validate_json(body[len(_HEADER) : at - len(_RECORDS)])
    except ValidationError as error:
        raise UnreadableMessage(f"{kind.type}: {in_words(error, within='header')}") from error
    return kind.model_validate({"header": header, "records": EncodedRecords(kind.record, body[at:-1])})
