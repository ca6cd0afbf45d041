"""Encodes a delivered message, so that it can be kept: a line of JSON with its properties, and its body."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson
from aiormq import spec
from aiormq.abc import DeliveredMessage

from loom_common.domain.json_values.plain_values import NoPlainValue, plain

_KEPT = ("message_id", "content_type", "content_encoding", "correlation_id", "type", "app_id")


@dataclass(frozen=True, slots=True)
class KeptMessage:
    """Holds the body of a message and those of its properties that it has."""

    properties: dict[str, Any]
    body: bytes

    @staticmethod
    def of(delivered: DeliveredMessage) -> KeptMessage:
        """Return what is kept of a message from a queue."""
        said, frame = delivered.header.properties, delivered.delivery
        found: dict[str, Any] = {name: getattr(said, "message_type" if name == "type" else name) for name in _KEPT}
        if isinstance(frame, spec.Basic.Deliver):
            found |= {"exchange": frame.exchange, "routing_key": frame.routing_key}
        found["timestamp"] = None if said.timestamp is None else said.timestamp.isoformat()
        found["headers"] = {name: _shown(value) for name, value in (said.headers or {}).items()}
        return KeptMessage({name: value for name, value in found.items() if value not in (None, {})}, delivered.body)

    @staticmethod
    def decoded(kept: bytes) -> KeptMessage:
        """Return the message that `encoded` wrote."""
        properties, _, body = kept.partition(b"\n")
        return KeptMessage(orjson.loads(properties), body)

    def encoded(self) -> bytes:
        """Return the message as it is kept."""
        return orjson.dumps(self.properties) + b"\n" + self.body


def _shown(value: Any) -> Any:
    """Return a header's value as JSON: bytes as the text that they are, else as `{"$bytes": hexadecimal}`."""
    if isinstance(value, bytes | bytearray):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return {"$bytes": value.hex()}
    if isinstance(value, dict):
        return {str(name): _shown(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_shown(each) for each in value]
    try:
        found = plain(value)
    except NoPlainValue:
        return str(value)
    return found if not isinstance(found, int) or abs(found) < 2**63 else str(found)
