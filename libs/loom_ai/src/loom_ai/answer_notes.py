"""Writes and reads what an answer may hold beside its text and the usual token counts, as JSON values that stand in the
journal and in recordings only where there is something to tell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loom_ai.ports import ModelAnswer

_COUNTS = ("tokens_written", "tokens_audio", "tokens_image")
BESIDE = frozenset({*_COUNTS, "logprobs"})
"""Holds the names of what is told only where there is something."""


def written_beside(answer: ModelAnswer) -> dict[str, Any]:
    """Return what there is to tell. It holds no words of the answer."""
    told: dict[str, Any] = {name: count for name in _COUNTS if (count := getattr(answer, name))}
    if answer.logprobs is not None:
        told["logprobs"] = [list(each) for each in answer.logprobs]
    return told


def read_beside(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `written_beside` told, as arguments of a `ModelAnswer`."""
    found: dict[str, Any] = {name: int(document[name]) for name in _COUNTS if name in document}
    if document.get("logprobs") is not None:
        found["logprobs"] = tuple((int(size), float(value)) for size, value in document["logprobs"])
    return found
