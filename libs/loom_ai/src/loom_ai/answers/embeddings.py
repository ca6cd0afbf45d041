"""Reads the vectors of texts out of answers, one of which may hold those of many texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from loom_ai.ports import ModelAnswer, ModelCall
from loom_ai.wire import finish
from loom_ai.wire.embeddings import vector_in
from loom_common.errors import RecordError

FIELD = "vector"
"""The field of the output that holds the vector."""


@dataclass(frozen=True, slots=True)
class Vectors:
    """Combines calls for the vectors of texts, and reads each vector out of the answer."""

    def combined(self, calls: Sequence[ModelCall]) -> ModelCall:
        """Return one call for the texts of all."""
        messages = tuple(message for call in calls for message in call.messages)
        return replace(calls[0], messages=messages, judged=sum(call.judged for call in calls))

    def part(self, answer: ModelAnswer, number: int) -> dict[str, Any] | None:
        """Return the vector of the `number`-th text (1-based); None where there is none."""
        if answer.finish_reason != finish.WHOLE:
            return None
        try:
            return {FIELD: vector_in(answer.text, number - 1)}
        except (LookupError, ValueError, TypeError):
            return None

    def read(self, answer: ModelAnswer) -> dict[str, Any]:
        """Return the vector of the only text. Raises `RecordError`."""
        if (part := self.part(answer, 1)) is None:
            why = answer.noted[0] if answer.noted else "it holds no vector"
            raise RecordError(f"The endpoint's response is of no use: {why}", code="unusable_answer")
        return part
