"""Describes what is known, before a run, of the fields of a source and the columns of a destination."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fields:
    """Names the fields that the records of a source have."""

    names: tuple[str, ...]
    certain: bool
    """Tells whether every record has these and no other, as far as can be told. False where the records that were
    looked at differ, and there are more of them."""


@dataclass(frozen=True, slots=True)
class ColumnFit:
    """Compares a column that a pipeline writes with the one that is there."""

    name: str
    written: str | None
    """Says which kind of values is written; None where only a run tells, or where nothing is."""
    there: str | None
    """The type of the column in the destination; None where it has none."""
    done: str
    """Says what a run does about it, in a few words."""
    fits: bool
    """Tells whether every value can be written as it is declared."""
