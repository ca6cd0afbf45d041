"""Chooses the examples that a question shows for one record."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from loom_common.domain.model_options.question_parts import ExamplesConfig
from loom_common.domain.question.examples import Example

Choice = Callable[[Mapping[str, Any]], Sequence[int]]
"""Returns the places of the examples for a record's input, in the order in which they are shown."""
Ranking = Callable[[str], Sequence[int]]
"""Returns the places of all texts of an index, the one that is most like a text first."""
Index = Callable[[Sequence[str]], Ranking]
"""Makes an index of texts. It may be slow."""


def choice_of(config: ExamplesConfig, examples: Sequence[Example], index: Index) -> Choice:
    """Return how examples are chosen. `index` is used where the nearest are wanted. Where a model finds those, none is
    chosen here."""
    count = len(examples) if config.count is None else config.count
    match config.choose:
        case "fixed":
            first = range(min(count, len(examples)))
            return lambda _: first
        case "by_field":
            by = config.by or ""
            places: dict[str, list[int]] = {}
            for place, example in enumerate(examples):
                places.setdefault(_text(example.input.get(by)), []).append(place)
            return lambda data: places.get(_text(data.get(by)), ())[:count]
        case "nearest" if config.embedding is not None:
            return lambda _: ()
        case "nearest":
            field = config.by
            ranking = index([compared(example.input, field) for example in examples])
            # The most alike comes last, next to the question, where models heed it most.
            return lambda data: ranking(compared(data, field))[:count][::-1]


def compared(data: Mapping[str, Any], field: str | None) -> str:
    """Return the text of an input that is compared: that of a field, or of all."""
    if field is not None:
        return _text(data.get(field))
    return "\n".join(_text(value) for value in data.values() if value is not None)


def _text(value: Any) -> str:
    """Return a value as text. Those of a CSV file are text where those of a record may be numbers."""
    return value if isinstance(value, str) else "" if value is None else str(value)
