"""Seals and opens records amid the steps of a transform: their input, and what steps made of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from loom_common.contracts.v1 import EndInSteps, RecordInSteps, TakenStep
from loom_common.domain.sealing.fields import SensitiveFields
from loom_common.domain.sealing.redaction import Redactor
from loom_common.sealing.sealer import Sealer

_Change = Callable[[Mapping[str, Any]], dict[str, Any]]


def opened_amid(record: RecordInSteps, sealer: Sealer) -> RecordInSteps:
    """Return the plain record. Raises `PermanentError`."""
    return _changed(record, sealer.opened, sealer.opened, sealer.opened)


def sealed_amid(record: RecordInSteps, sealer: Sealer) -> RecordInSteps:
    """Return the record with its sensitive fields sealed, and with what repeats them; how it failed is sealed whole."""
    redactor = Redactor(list(values_amid(record, sealer.fields)))
    return _changed(record, sealer.sealed, lambda data: sealer.sealed(data, redactor), sealer.whole)


def values_amid(record: RecordInSteps, fields: SensitiveFields) -> Iterator[Any]:
    """Yield the sensitive values of a record and of what steps made of it."""
    yield from fields.values(record.input)
    for steps in (record.steps, *(part.steps for part in record.parts)):
        for step in steps:
            yield from fields.values(step.output or {})
    for part in record.parts:
        yield from fields.values(part.input)


def _changed(record: RecordInSteps, given: _Change, made: _Change, told: _Change) -> RecordInSteps:
    """Return the record with its input, what steps made of it and the texts of its failure changed."""

    def step(each: TakenStep) -> TakenStep:
        return each if each.output is None else replace(each, output=made(each.output))

    def end(each: EndInSteps | None) -> EndInSteps | None:
        if each is None or each.filtered:
            return each
        changed = told({"reason": each.reason, "details": each.details})
        return replace(each, reason=changed["reason"], details=changed["details"])

    parts = tuple(
        replace(part, input=made(part.input), steps=tuple(map(step, part.steps)), end=end(part.end))
        for part in record.parts
    )
    return replace(
        record, input=given(record.input), steps=tuple(map(step, record.steps)), end=end(record.end), parts=parts
    )
