"""Who a record is: its key as text, or its content and position."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from loom_common.domain.ids import record_hash
from loom_common.errors import RecordError
from loom_common.slicing import SliceRecord
from loom_common.text import storable, storable_value, unstorable
from loom_connectors.ports import ReadRecord

_LONGEST = 200
"""Characters of an id: it stands in tables, logs and commands. A longer key is cut and ends in its hash."""


def identified(record: ReadRecord, keys: Sequence[str]) -> SliceRecord:
    """The record with its id, or with the error that keeps it out: the source's, or a missing key."""
    if record.error is not None:
        return _kept_out(record, keys, record.error)
    if (why := unstorable(record.data)) is not None:
        error = RecordError(f"The record at {record.position} holds {why}.", code="unstorable")
        return _kept_out(record, keys, error)
    if not keys:
        return SliceRecord(record_hash(record.data, record.position), record.data)
    try:
        return SliceRecord(key_of(record.data, keys, record.position), record.data)
    except RecordError as error:
        return _kept_out(record, keys, error)


def key_of(data: Mapping[str, Any], keys: Sequence[str], place: str = "its place") -> str:
    """The key fields as text, joined by `|`. Raises `RecordError` where one is missing, null or empty."""
    for key in keys:
        if data.get(key) in (None, ""):
            state = "missing" if key not in data else "null" if data[key] is None else "empty"
            fields = ", ".join(map(str, data)) or "no field at all"
            raise RecordError(
                f"The key field '{key}' is {state} at {place}; the record has {fields}.", code="missing_key"
            )
    parts = [_text(data[key]) for key in keys]
    if len(parts) > 1:  # so that ("a|b", "c") and ("a", "b|c") are two keys
        parts = [part.replace("\\", "\\\\").replace("|", "\\|") for part in parts]
    return _bounded("|".join(parts))


def duplicate(record: SliceRecord, position: str, first: str) -> SliceRecord:
    """The record kept out, because its key stood at `first` before."""
    words = f"The key {record.id} at {position} stood before at {first}; a key identifies one record."
    details = {"key": record.id, "position": position, "first": first}
    error = RecordError(words, code="duplicate_key", details=details)
    return SliceRecord(_at(record.id, position), record.input, error)


def _kept_out(record: ReadRecord, keys: Sequence[str], error: RecordError) -> SliceRecord:
    """A record that is kept out does not own its key: another may carry it rightly. Its position tells them apart."""
    error.details.setdefault("position", record.position)
    data = storable_value(record.data)
    if not keys or any(data.get(key) in (None, "") for key in keys):
        return SliceRecord(record_hash(data, record.position), data, error)
    return SliceRecord(_at(key_of(data, keys), record.position), data, error)


def _at(key: str, position: str) -> str:
    return _bounded(f"{key}@{position}")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)


def _bounded(text: str) -> str:
    """An id that everything can hold. What is cut or replaced in it is told apart by its hash."""
    held = storable(text)
    if held == text and len(text) <= _LONGEST:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return f"{held[: _LONGEST - 33]}~{digest}"
