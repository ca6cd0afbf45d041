"""Says how the schema of records differs from a version of it that was stored."""

import difflib
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from loom_common.domain.schema.columns import Column, Columns, joined, takes

ChangeKind = Literal["added", "removed", "renamed", "widened", "narrowed", "changed", "nullable"]


class SchemaChange(BaseModel):
    """Describes how a column differs from the stored version of its schema."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    change: ChangeKind = Field(description="`changed` is another type; `renamed` is a guess.")
    column: str
    before: str | None = Field(None, description="What the stored version says of the column.")
    after: str | None = Field(None, description="What the records say of it.")
    now_called: str | None = Field(None, description="`renamed`: the column that most likely is the same one.")


def drift(stored: Columns, found: Columns) -> list[SchemaChange]:
    """Return every change, in the order of the stored columns, then of the new ones."""
    renamed = _renamed(stored, found)
    changes = []
    for name, before in stored.items():
        after = found.get(name)
        if name in renamed:
            after = found[renamed[name]]
            now = renamed[name]
            changes.append(_change("renamed", name, before, after, now))
        elif after is None:
            changes.append(_change("removed", name, before, None))
        else:
            changes += _of_column(name, before, after)
    taken = set(renamed.values())
    changes += [
        _change("added", name, None, after) for name, after in found.items() if name not in stored and name not in taken
    ]
    return changes


def _of_column(name: str, before: Column, after: Column) -> list[SchemaChange]:
    found = []
    if before.kind != after.kind:
        kind: ChangeKind = "changed"
        if takes(before, after):
            kind = "narrowed"
        elif joined(before, after).type != "any":
            kind = "widened"
        found.append(_change(kind, name, before, after))
    if after.nullable and not before.nullable:
        found.append(_change("nullable", name, before, after))
    return found


def _renamed(stored: Columns, found: Columns) -> dict[str, str]:
    """Guess which columns have another name now: of one kind, and with names alike, or the only ones of their kind."""
    gone = [name for name in stored if name not in found]
    new = [name for name in found if name not in stored]
    guesses: dict[str, str] = {}
    for name in gone:
        alike = [each for each in new if each not in guesses.values() and found[each].kind == stored[name].kind]
        near = difflib.get_close_matches(name, alike, n=1, cutoff=0.6)
        only = (
            alike if len(alike) == 1 == len([each for each in gone if stored[each].kind == stored[name].kind]) else []
        )
        if near or only:
            guesses[name] = (near or only)[0]
    return guesses


def _change(
    kind: ChangeKind, name: str, before: Column | None, after: Column | None, now: str | None = None
) -> SchemaChange:
    return SchemaChange(
        change=kind,
        column=name,
        before=None if before is None else str(before),
        after=None if after is None else str(after),
        now_called=now,
    )


def evolved(stored: Columns, found: Columns) -> dict[str, Column]:
    """Return the next version: columns are added and widened, and may become null. None is narrowed or removed."""
    grown = {name: joined(before, found[name]) if name in found else before for name, before in stored.items()}
    return {**grown, **{name: after for name, after in found.items() if name not in stored}}
