"""Checks the records of a replay as a source's records are checked. It does no I/O.

A record that was not read whole must be repaired, its key must exist and be unique, and fields that are loaded with the
output, or by which it is in sequence, must exist."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from loom_common.contracts.v1 import Derived
from loom_common.domain.checks.record_checks import carried_from_input, key_of, see_fields, see_order_key
from loom_common.domain.checks.repairs import mended, to_mend, words
from loom_common.domain.definition.pipeline import Pipeline
from loom_common.domain.definition.transforms.steps import StepsTransformConfig
from loom_common.domain.quality.outcomes import QUALITY_CHECK
from loom_common.domain.run.replaying import edited
from loom_common.domain.schema.contract import SCHEMA_CONTRACT
from loom_common.errors import RecordError
from loom_common.flow import Stage
from loom_common.worker.slices import SliceRecord
from loom_quarantine.replays.claims import KeptInput

_SAID = "said"
"""The detail that holds the error's original message, before the fields to edit were added to it."""


def checked(kept: KeptInput, edits: Mapping[str, Any], pipeline: Pipeline) -> SliceRecord:
    """Return the record with the edits applied, or with the error that quarantines it
    again."""
    derived = Derived.of_json(kept.derived)
    if (group := _group_of(kept, derived, pipeline)) is not None:
        why = (
            f"{group} makes one record of all records of a group, and this one cannot be added to its group any more: "
            "run the pipeline again, which pays for no answer that is known"
        )
        said_before = (kept.error_details or {}).get(_SAID, kept.failure_reason)
        error = RecordError(f"{said_before} ({why})", code="grouped", details={_SAID: said_before})
        return SliceRecord(kept.record_id, kept.record_data, error, derived)
    if derived is not None:
        return _checked_part(kept, derived, edits, pipeline)
    data = edited(kept.record_data, edits)
    if kept.failure_stage != Stage.EXTRACT or kept.code in (QUALITY_CHECK, SCHEMA_CONTRACT):
        return SliceRecord(kept.record_id, data, _trouble(data, kept.record_id, pipeline) if edits else None)
    details = kept.error_details or {}
    said = details.get(_SAID, kept.failure_reason)
    fields = to_mend(kept.record_data, kept.code, details)
    left = [name for name in fields if name not in edits]
    if left or not edits:
        reason = f"{said} {words(left)}" if left and edits else said
        error = RecordError(reason, code=kept.code, details={**details, _SAID: said})
        return SliceRecord(kept.record_id, data, error)
    data = mended(data, edits, fields)
    return SliceRecord(kept.record_id, data, _trouble(data, kept.record_id, pipeline))


def _group_of(kept: KeptInput, derived: Derived | None, pipeline: Pipeline) -> str | None:
    """Return the step to whose groups a record would have been added, or which could not make a record of its group;
    None for a record that no step groups any more."""
    transform = pipeline.transform
    if not isinstance(transform, StepsTransformConfig):
        return None
    if derived is not None and kept.failure_stage == Stage.EXTRACT and derived.step in transform.graph.groups:
        return derived.step
    return transform.graph.group_after(None if derived is None else derived.step)


def _checked_part(kept: KeptInput, derived: Derived, edits: Mapping[str, Any], pipeline: Pipeline) -> SliceRecord:
    """Return a record that a step made of another with the edits applied. It has no key of its own that an edit could
    change: it is known by that of the other."""
    fixed = [name for name in edits if name in pipeline.row_key]
    if not fixed:
        return SliceRecord(kept.record_id, edited(kept.record_data, edits), None, derived)
    reason = f"{', '.join(fixed)} cannot be edited: the step {derived.step} made the record of {derived.parent}."
    return SliceRecord(kept.record_id, kept.record_data, RecordError(reason, code="key_overwritten"), derived)


def _trouble(data: Mapping[str, Any], place: str, pipeline: Pipeline) -> RecordError | None:
    try:
        see_fields(data, carried_from_input(pipeline), place)
        see_order_key(data, pipeline.order_by, place)
        if pipeline.extract.keys:
            key_of(data, pipeline.extract.keys, place)
    except RecordError as error:
        return error
    return None


def changes_keys(edits: Mapping[str, Any], pipeline: Pipeline) -> bool:
    """Say whether a key field is edited."""
    return any(name in edits for name in pipeline.extract.keys)


def without_doubles(
    records: Sequence[SliceRecord], earlier: Sequence[SliceRecord], keys: Sequence[str]
) -> list[SliceRecord]:
    """Return the records, with an error for those whose edited key an earlier record of the replay has."""
    first = {key_of(each.input, keys): each.id for each in reversed(earlier) if _has_key(each)}
    found = []
    for record in records:
        if _has_key(record):
            key = key_of(record.input, keys)
            holder = first.setdefault(key, record.id)
            if holder != record.id:
                reason = f"The key {key} is given to {holder} in this replay, too; a key identifies one record."
                error = RecordError(reason, code="duplicate_key", details={"key": key, "first": holder})
                record = SliceRecord(record.id, record.input, error)  # noqa: PLW2901 - from here on, this one counts
        found.append(record)
    return found


def _has_key(record: SliceRecord) -> bool:
    return record.error is None and record.derived is None


def asks_the_source(records: Sequence[SliceRecord], keys: Sequence[str]) -> bool:
    """Say whether a record has a key that no extractor has seen, so that the source must be asked for duplicates."""
    return bool(keys) and any(
        _has_key(record) and key_of(record.input, keys) != record.id
        for record in records
        if all(name in record.input for name in keys)
    )
