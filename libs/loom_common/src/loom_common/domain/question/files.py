"""Tells the files that a question is made of from the texts that stand in the pipeline file itself."""

from __future__ import annotations

from pathlib import PurePath

SUFFIXES = frozenset({".txt", ".md", ".j2", ".jinja", ".jinja2", ".prompt"})
"""The endings of files with the text of a system prompt or a turn."""


def names_a_file(text: str) -> bool:
    """Tell whether a system prompt or the content of a turn is a path. An answer of one word, as turns of the assistant
    often are, is none: a path has one of the endings `SUFFIXES`, and no spaces or braces."""
    return not any(mark in text for mark in " \n\t{}") and PurePath(text).suffix.lower() in SUFFIXES
