"""Finds the templates of a question and its examples in a definition, as it was written or as a model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from loom_common.domain.model_options.attachments import KINDS
from loom_common.domain.section import items, said

KeyPath = tuple[str | int, ...]


def prompt_in(transform: Any) -> tuple[KeyPath, str] | None:
    """Return the prompt with its key: it may be the last of the messages. None where there is none."""
    for key in ("prompt", "prompt_path"):
        if isinstance(prompt := said(transform, key), str):
            return ("transform", key), prompt
    turns = items(transform, "messages")
    if turns and said(turns[-1], "role") == "user" and isinstance(content := said(turns[-1], "content"), str):
        return ("transform", "messages", len(turns) - 1, "content"), content
    return None


def templates_beside(transform: Any) -> Iterator[tuple[KeyPath, str]]:
    """Yield the templates beside the prompt with their keys: the system prompt, the turns in front of the prompt, and
    the places of attachments."""
    prompt = prompt_in(transform)
    if isinstance(system := said(transform, "system"), str):
        yield ("transform", "system"), system
    for place, turn in enumerate(items(transform, "messages")):
        at: KeyPath = ("transform", "messages", place, "content")
        if isinstance(content := said(turn, "content"), str) and (prompt is None or prompt[0] != at):
            yield at, content
    for place, attachment in enumerate(items(transform, "attachments")):
        for kind in KINDS:
            if isinstance(template := said(attachment, kind), str):
                yield ("transform", "attachments", place, kind), template


def in_a_file(at: KeyPath) -> bool:
    """Tell whether a template beside the prompt may stand in a file of its own: not where it names an attachment."""
    return at[1] != "attachments"


def examples_in(transform: Any) -> str | None:
    """Return the name of the file of examples; None where there is none."""
    section = said(transform, "examples")
    name = section if isinstance(section, str) else said(section, "file")
    return name if isinstance(name, str) else None
