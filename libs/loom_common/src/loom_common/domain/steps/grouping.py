"""Tells records of groups apart, and names the record that is made of a group. Pure.

Values make the same group where they are the same as text: `1` of a database and `1` of a file do."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loom_common.domain.steps.functions.aggregates import Folded
from loom_common.domain.steps.operators import GroupStep, number_field
from loom_common.domain.steps.resolving import WHOLE
from loom_common.domain.values.ids import bounded
from loom_common.errors import RecordError

_ALL = "all"
"""Stands in ids for the values of a group that has all records of a run."""


@dataclass(frozen=True, slots=True)
class GroupMember:
    """Holds what is known of a record that was grouped."""

    group: str
    """The hash of the values that make its group, 32 hexadecimal digits."""
    place: str
    """Tells the place of the record in the run, in digits: members of a group come in the order of their places."""
    record_id: str
    by: Sequence[Any]
    """The values that make its group."""
    values: Mapping[str, Any]
    """The fields of the record that functions of the group are of."""


def member_of(step: GroupStep, record_id: str, view: Mapping[str, Any]) -> GroupMember:
    """Return what has to be kept of a record until its group is complete, without its place. Raises `RecordError`
    where it lacks a field, or has an object or a list where its group has a value."""
    by = [value_of(view, name) for name in step.by]
    functions = step.functions
    for name, (_, field) in functions.items():
        if field not in (None, WHOLE) and field not in view:
            raise RecordError(f"the record has no field '{field}', which `{name}` is made of", code="missing_field")
    wanted = {field for _, field in functions.values() if field is not None}
    values = {field: {"id": record_id, "record": dict(view)} if field == WHOLE else view[field] for field in wanted}
    return GroupMember(group_hash(by), "", record_id, by, values)


def group_hash(by: Sequence[Any]) -> str:
    """Return the hash of the values that make a group."""
    return hashlib.sha256(json.dumps([_text(each) for each in by]).encode()).hexdigest()[:32]


def group_record_id(step: str, by: Sequence[Any], number: int | None) -> str:
    """Return the id of the record that a step makes of a group: `by_product#lamp`, or `by_product#lamp.2`."""
    parts = [_text(each) for each in by]
    if len(parts) > 1:  # so that ("a|b", "c") and ("a", "b|c") are two groups
        parts = [part.replace("\\", "\\\\").replace("|", "\\|") for part in parts]
    whole = "|".join(parts) if parts else _ALL
    return bounded(f"{step}#{whole}" if number is None else f"{step}#{whole}.{number}")


class GroupRecord:
    """Makes one record of the members of a group, of which it holds no more than the record does."""

    def __init__(self, step: GroupStep, first: GroupMember, number: int) -> None:
        """`number` counts the records that are made of the group, from 1."""
        self.group = first.group
        self.number = number
        self.first = first.record_id
        self._step = step
        self._by = dict(zip(step.by, first.by, strict=True))
        self._folded = Folded(step.functions, step.max_items)

    @property
    def step(self) -> str:
        """Return the name of the step that makes it."""
        return self._step.name

    @property
    def members(self) -> int:
        """Return how many members were added."""
        return self._folded.members

    @property
    def is_full(self) -> bool:
        """Tell whether it is made of as many members as the step allows."""
        return self._step.size is not None and self.members >= self._step.size

    @property
    def id(self) -> str:
        """Return the id of the record."""
        numbered = self.number if self._step.size is not None else None
        return group_record_id(self._step.name, list(self._by.values()), numbered)

    @property
    def error(self) -> RecordError | None:
        """Return why the record cannot be made; None where it can."""
        found = self._folded.error
        return (
            None
            if found is None
            else RecordError(
                f"Step {self._step.name}: {found}", code=found.code, details={**found.details, "step": self._step.name}
            )
        )

    @property
    def data(self) -> dict[str, Any]:
        """Return the fields of the record; of one that cannot be made those that tell its group."""
        numbered = {number_field(self._step): self.number} if self._step.size is not None else {}
        return {**self._by, **numbered, **({} if self._folded.error else self._folded.fields)}

    def add(self, member: GroupMember) -> None:
        """Add a member of the group."""
        self._folded.add(member.record_id, member.values)


def value_of(view: Mapping[str, Any], name: str) -> Any:
    """Return the value of a field by which records are grouped or compared. Raises `RecordError` where the record lacks
    it, or has an object or a list there."""
    if name not in view:
        raise RecordError(f"the record has no field '{name}'", code="missing_field")
    if isinstance(view[name], dict | list):
        raise RecordError(f"'{name}' is an object or a list, and not a value", code="group_value")
    return view[name]


def _text(value: Any) -> str:
    """Return a value as text. The text `null` is told apart from no value."""
    if isinstance(value, str):
        return json.dumps(value) if value == "null" else value
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return json.dumps(value)
