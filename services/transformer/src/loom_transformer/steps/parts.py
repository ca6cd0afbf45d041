"""Makes several records of one: of the items of a list, or of the parts of a text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loom_common.domain.steps.functions.splitting import by_characters, by_words
from loom_common.domain.steps.operators import SplitStep, UnnestStep, number_field, part_field
from loom_common.domain.steps.resolving import MEMBERS, ResolveStep
from loom_common.domain.values.plural import counted
from loom_common.errors import RecordError


@dataclass(frozen=True, slots=True)
class Opening:
    """Says what records a step makes of one."""

    field: str
    """The field that holds the parts."""
    into: str
    """The field that holds one part."""
    number: str
    """The field that holds the number of the part, from 1."""
    most: int
    parts: Callable[[Any], Iterator[Any]]
    """Gives the parts of the value of `field`. Raises `RecordError` where it has none."""
    gathered: bool
    """Tells whether a later step gathers the records again, which then do not leave the steps."""

    def names(self, parts: Sequence[Any]) -> list[str]:
        """Return the fields that the step makes."""
        return [self.into, self.number]

    def parts_of(self, view: Mapping[str, Any]) -> list[Any]:
        """Return the parts of a record. Raises `RecordError` where it lacks the field, the field has none, or there are
        too many."""
        if self.field not in view:
            raise RecordError(f"the record has no field '{self.field}'", code="missing_field")
        found = list[Any]()
        for part in self.parts(view[self.field]):
            if len(found) == self.most:
                words = f"'{self.field}' has more parts than `max_parts` allows ({counted(self.most, 'part')})"
                raise RecordError(words, code="too_many_parts")
            found.append(part)
        return found

    def data(self, view: Mapping[str, Any], part: Any, number: int) -> dict[str, Any]:
        """Return a part as a record: what the whole looked like, with the part in place of the parts."""
        return {**{name: value for name, value in view.items() if name != self.field}, **self.made(part, number)}

    def made(self, part: Any, number: int) -> dict[str, Any]:
        """Return the fields that the step makes."""
        return {self.into: part, self.number: number}


class EntityOpening(Opening):
    """Says what records a step makes of those of a block: each part is a whole record."""

    def data(self, view: Mapping[str, Any], part: Any, number: int) -> dict[str, Any]:
        return self.made(part, number)

    def made(self, part: Any, number: int) -> dict[str, Any]:
        return {**part, self.number: number}

    def names(self, parts: Sequence[Any]) -> list[str]:
        return [*dict.fromkeys(name for part in parts for name in part), self.number]


def opening_of_entities(config: ResolveStep) -> EntityOpening:
    """Return what a step makes of the records of its blocks."""
    number = number_field(config)
    return EntityOpening(MEMBERS, part_field(config), number, config.max_block, _items_of(MEMBERS), gathered=False)


def opening_of(config: UnnestStep | SplitStep, *, gathered: bool) -> Opening:
    """Return what the step of a pipeline file makes."""
    parts = _items_of(config.field) if isinstance(config, UnnestStep) else _texts_of(config)
    return Opening(config.field, part_field(config), number_field(config), config.max_parts, parts, gathered)


def _items_of(field: str) -> Callable[[Any], Iterator[Any]]:
    def items(value: Any) -> Iterator[Any]:
        if value is not None and not isinstance(value, list):
            raise RecordError(f"'{field}' is no list", code="no_list")
        return iter(value or ())

    return items


def _texts_of(config: SplitStep) -> Callable[[Any], Iterator[Any]]:
    cut = by_words if config.by == "words" else by_characters

    def texts(value: Any) -> Iterator[Any]:
        if value is not None and not isinstance(value, str):
            raise RecordError(f"'{config.field}' is no text", code="no_text")
        return cut(value or "", config.size, config.overlap)

    return texts
