"""Gives each record its id: its key as text, or a hash of its content and position."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from loom_common.domain import record_bytes
from loom_common.domain.checks.record_checks import key_of, see_fields, see_order_key
from loom_common.domain.sealing.fields import SensitiveFields
from loom_common.domain.values.ids import bounded, record_hash, sorted_json
from loom_common.errors import RecordError
from loom_common.text import DEEPEST, storable_value, unstorable
from loom_common.worker.slices import SliceRecord
from loom_connectors.ports.source import ReadRecord

NOTHING_SENSITIVE = SensitiveFields(())
_LIST, _OBJECT = b"[{"
"""The bytes that open a level. Bytes are searched much faster for one of them as a number than as bytes."""
_TOO_SHORT = 2 * DEEPEST
"""So many bytes of JSON hold no more levels than are allowed, of which each takes two brackets."""


class Identified(NamedTuple):
    """Holds records with their ids, in their order."""

    records: list[SliceRecord]
    size: int
    """The number of bytes that they have as JSON, as `record_bytes` counts them."""


def identified(
    record: ReadRecord,
    keys: Sequence[str],
    carried: Sequence[str] = (),
    sensitive: SensitiveFields = NOTHING_SENSITIVE,
    order_by: Sequence[str] = (),
) -> SliceRecord:
    """Return one record as `all_identified` does."""
    return all_identified((record,), keys, carried, sensitive, order_by).records[0]


def all_identified(
    records: Sequence[ReadRecord],
    keys: Sequence[str],
    carried: Sequence[str] = (),
    sensitive: SensitiveFields = NOTHING_SENSITIVE,
    order_by: Sequence[str] = (),
) -> Identified:
    """Return each record with its id, or with the error that keeps it out: the source's, a missing key, or a missing
    field among those `carried` to the destination or those by which it is in sequence (`order_by`). An id holds nothing
    of `sensitive` fields, by which their values could be guessed."""
    by_content = not (keys or carried or sensitive or order_by)
    found: list[SliceRecord] = []
    size = 0
    for record in records:  # with as few calls as can be: this is a large part of what reading costs
        data, position, error = record.data, record.position, record.error
        if (written := sorted_json(data)) is None:
            size += record_bytes.bytes_of_one(data)
            error = _unstorable(record) if error is None else error
        else:
            size += len(written) + record_bytes.BETWEEN
            if error is None and len(written) > _TOO_SHORT and _may_be_too_deep(written):
                error = _unstorable(record)
        if error is not None:
            found.append(_kept_out(record, keys, error, sensitive))
        elif by_content:
            found.append(SliceRecord(record_hash(data, position, written), data))
        else:
            found.append(_identified(record, written, keys, carried, sensitive, order_by))
    return Identified(found, size)


def _identified(
    record: ReadRecord,
    written: bytes | None,
    keys: Sequence[str],
    carried: Sequence[str],
    sensitive: SensitiveFields,
    order_by: Sequence[str],
) -> SliceRecord:
    """Return a record that a message can carry, of which more is asked than its content."""
    try:
        if carried:
            see_fields(record.data, carried, record.position)
        if order_by:
            see_order_key(record.data, order_by, record.position)
        if keys:
            return SliceRecord(key_of(record.data, keys, record.position), record.data)
        if sensitive:
            return SliceRecord(record_hash(sensitive.without(record.data), record.position), record.data)
        return SliceRecord(record_hash(record.data, record.position, written), record.data)
    except RecordError as error:
        return _kept_out(record, keys, error, sensitive)


def _unstorable(record: ReadRecord) -> RecordError | None:
    """Return why no message can carry a record, where none can."""
    why = unstorable(record.data)
    return None if why is None else RecordError(f"The record at {record.position} holds {why}.", code="unstorable")


def _may_be_too_deep(written: bytes) -> bool:
    """Tell whether a record may be nested too deeply, by its JSON: it is not where there are too few brackets for more
    levels than are allowed. The encoder takes nothing else that no message can carry."""
    if _LIST not in written and written.find(_OBJECT, 1) < 0:
        return False
    return written.count(_OBJECT) + written.count(_LIST) > DEEPEST


def duplicate(record: SliceRecord, position: str, first: str) -> SliceRecord:
    """Return the record with the error that its key occurred at `first` before."""
    words = f"The key {record.id} at {position} stood before at {first}; a key identifies one record."
    details = {"key": record.id, "position": position, "first": first}
    error = RecordError(words, code="duplicate_key", details=details)
    return SliceRecord(_at(record.id, position), record.input, error)


def repeated(record: SliceRecord, position: str) -> SliceRecord:
    """Return a record of a stream whose key came before in its window, under an id of its own."""
    return SliceRecord(_at(record.id, position), record.input)


def _kept_out(record: ReadRecord, keys: Sequence[str], error: RecordError, sensitive: SensitiveFields) -> SliceRecord:
    """Return a record with an error. Its id contains its position and not its key, which another record may have.

    Where fields are sensitive, the id is made of the position alone: of a record that was not read whole, nobody knows
    what stands in which field."""
    error.details.setdefault("position", record.position)
    data = storable_value(record.data)
    if sensitive:
        return SliceRecord(record_hash({}, record.position), data, error)
    if not keys or any(data.get(key) in (None, "") for key in keys):
        return SliceRecord(record_hash(data, record.position), data, error)
    return SliceRecord(_at(key_of(data, keys), record.position), data, error)


def _at(key: str, position: str) -> str:
    return bounded(f"{key}@{position}")
