"""Makes records of the bodies of messages. A body that is none costs its own record alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from loom_common.domain.json_values.exact_json import UnfitJson, loads
from loom_common.errors import RecordError
from loom_connectors.formats.json_records import Unfit
from loom_connectors.formats.message_bodies import LONGEST_RAW, Body, parts_of
from loom_connectors.ports.source import ReadRecord
from loom_connectors.rabbitmq.kept_message import KeptMessage
from loom_connectors.rabbitmq.options import QueueOptions

_LINES = ("application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines")


def records_of(message: KeptMessage, position: str, options: QueueOptions) -> list[ReadRecord]:
    """Return the records of a message. They stand at its id, where it has one, else at `position`."""
    name = message.properties.get("message_id")
    place = f"message {name}" if name else position
    try:
        text = _text(message)
    except Unfit as unfit:
        return [_kept_back(message, place, message.body.decode("utf-8", "replace"), unfit)]
    found = []
    for at, each in enumerate(parts_of(text, form_of(message, options), options.text_field), 1):
        step = place if each.only else f"{place}, record {at}"
        if isinstance(each.value, Unfit):
            found.append(_kept_back(message, step, each.text, each.value))
        else:
            found.append(_with_properties(each.value, message, step, options))
    return found


def form_of(message: KeptMessage, options: QueueOptions) -> Body:
    """Return what the body of a message is."""
    if options.format is not None:
        return options.format
    said = str(message.properties.get("content_type", "")).partition(";")[0].strip().lower()
    if said in _LINES:
        return "jsonl"
    return "text" if said.startswith("text/") else "json"


def identity_of(message: KeptMessage, options: QueueOptions) -> str | None:
    """Return what tells the message from others: its id, or the field of its body that has one."""
    if (said := message.properties.get("message_id")) is not None:
        return str(said)
    if options.message_id_field is None or form_of(message, options) != "json":
        return None
    try:
        value = loads(_text(message))
    except (Unfit, UnfitJson, json.JSONDecodeError):
        return None
    found = value.get(options.message_id_field) if isinstance(value, dict) else None
    return None if found in (None, "") or isinstance(found, dict | list) else f"{options.message_id_field}={found}"


def _text(message: KeptMessage) -> str:
    """Return the body as text. Raises `Unfit` where it is packed, or in another encoding than it says."""
    packed = str(message.properties.get("content_encoding", "")).lower()
    if packed not in ("", "identity", "utf-8", "utf8"):
        raise Unfit("content_encoding", f"its body is packed as '{packed}'; publish it as it is.")
    parameters = str(message.properties.get("content_type", "")).split(";")[1:]
    charset = next((each.partition("=")[2] for each in parameters if each.strip().lower().startswith("charset=")), "")
    encoding = charset.strip(" \"'") or "utf-8"
    try:
        return message.body.decode(encoding)
    except UnicodeDecodeError as error:
        raise Unfit("bad_encoding", f"byte {error.start + 1} is none of {encoding}.") from None
    except (LookupError, ValueError):  # Python refuses some names with a `ValueError`, and others whatever the text is
        raise Unfit("bad_encoding", f"its content type names the unknown encoding {encoding!r:.60}.") from None


def _with_properties(data: dict[str, Any], message: KeptMessage, place: str, options: QueueOptions) -> ReadRecord:
    added = {f"_{name}": message.properties.get(name) for name in options.properties}
    if taken := [name for name in added if name in data]:
        unfit = Unfit("field_twice", f"its body has the field '{taken[0]}', which the option `properties` gives.")
        return ReadRecord(place, data, _error(place, message, unfit))
    return ReadRecord(place, {**data, **added} if added else data)


def _kept_back(message: KeptMessage, place: str, text: str, unfit: Unfit) -> ReadRecord:
    return ReadRecord(place, {"raw": text[:LONGEST_RAW]}, _error(place, message, unfit))


def _error(place: str, message: KeptMessage, unfit: Unfit) -> RecordError:
    column = "" if unfit.column is None else f" column {unfit.column}"
    properties: Sequence[str] = ("message_id", "routing_key")
    details = {name: message.properties[name] for name in properties if name in message.properties}
    return RecordError(f"{place}{column}: {unfit}", code=unfit.code, details=details)
