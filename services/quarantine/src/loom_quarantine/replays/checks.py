"""A replay's records pass the checks of a source: what could not be read whole must be mended, a key must be there and
be one record's, and a field that is loaded with the output must be there. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from loom_common.domain.checks.record_checks import carried_from_input, key_of, see_fields
from loom_common.domain.checks.repairs import mended, to_mend, words
from loom_common.domain.definition.pipeline import Pipeline
from loom_common.domain.run.replaying import edited
from loom_common.errors import RecordError
from loom_common.flow import Stage
from loom_common.worker.slices import SliceRecord

_SAID = "said"
"""Among the details of an error: what it said before it was told what to edit."""


def checked(row: Mapping[str, Any], edits: Mapping[str, Any], pipeline: Pipeline) -> SliceRecord:
    """The record of a row of `quarantined_records` with `edits` made; with the error that keeps it back again."""
    data = edited(row["record_data"], edits)
    if row["failure_stage"] != Stage.EXTRACT:
        return SliceRecord(row["record_id"], data, _trouble(data, row["record_id"], pipeline) if edits else None)
    details = row["error_details"] or {}
    said = details.get(_SAID, row["failure_reason"])
    fields = to_mend(row["record_data"], row["code"], details)
    left = [name for name in fields if name not in edits]
    if left or not edits:
        reason = f"{said} {words(left)}" if left and edits else said
        error = RecordError(reason, code=row["code"], details={**details, _SAID: said})
        return SliceRecord(row["record_id"], data, error)
    data = mended(data, edits, fields)
    return SliceRecord(row["record_id"], data, _trouble(data, row["record_id"], pipeline))


def _trouble(data: Mapping[str, Any], place: str, pipeline: Pipeline) -> RecordError | None:
    try:
        see_fields(data, carried_from_input(pipeline), place)
        if pipeline.extract.keys:
            key_of(data, pipeline.extract.keys, place)
    except RecordError as error:
        return error
    return None


def changes_keys(edits: Mapping[str, Any], pipeline: Pipeline) -> bool:
    """Whether a key field is edited."""
    return any(name in edits for name in pipeline.extract.keys)


def without_doubles(
    records: Sequence[SliceRecord], earlier: Sequence[SliceRecord], keys: Sequence[str]
) -> list[SliceRecord]:
    """The records; with an error, those to whom the edits give a key that one before them in the replay has."""
    first = {key_of(each.input, keys): each.id for each in reversed(earlier) if each.error is None}
    found = []
    for record in records:
        if record.error is None:
            key = key_of(record.input, keys)
            holder = first.setdefault(key, record.id)
            if holder != record.id:
                reason = f"The key {key} is given to {holder} in this replay, too; a key identifies one record."
                error = RecordError(reason, code="duplicate_key", details={"key": key, "first": holder})
                record = SliceRecord(record.id, record.input, error)  # noqa: PLW2901
        found.append(record)
    return found


def asks_the_source(records: Sequence[SliceRecord], keys: Sequence[str]) -> bool:
    """Whether a record has a key that no extractor has seen: then the source is asked whether another has it."""
    return bool(keys) and any(
        record.error is None and key_of(record.input, keys) != record.id
        for record in records
        if all(name in record.input for name in keys)
    )
