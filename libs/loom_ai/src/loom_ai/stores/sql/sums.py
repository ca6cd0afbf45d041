"""Adds up the entries of a journal one by one, for stores that cannot aggregate. It does no I/O."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

from loom_ai.ports import NOTED, Entry, Kept


class Sums:
    """Sums by provider and model. Entries that are not answers that were paid for are left out."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], Kept] = {}

    def add(self, entry: Entry) -> None:
        """Add an entry to the sums of its provider and model."""
        if entry.purpose == NOTED:
            return
        place, when, answer = (entry.provider, entry.model), entry.created_at, entry.answer
        so_far = self._kept.get(place) or Kept(*place, 0, 0, 0, 0.0, oldest=when, newest=when)
        self._kept[place] = replace(
            so_far,
            answers=so_far.answers + 1,
            tokens_in=so_far.tokens_in + answer.tokens_in,
            tokens_out=so_far.tokens_out + answer.tokens_out,
            cost=so_far.cost + entry.cost,
            oldest=min(so_far.oldest, when),
            newest=max(so_far.newest, when),
        )

    def all(self) -> list[Kept]:
        """Return the sums, ordered by provider and model."""
        return [self._kept[place] for place in sorted(self._kept)]


def to_be_cleared(entry: Entry, before: dt.datetime | None, model: str | None) -> bool:
    """Say whether `clear` with these arguments deletes the entry."""
    return (before is None or entry.created_at < before) and (model is None or entry.model == model)
