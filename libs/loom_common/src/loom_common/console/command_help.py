"""Shows whole sentences where the help of a program lists its commands. Typer cuts them to one line."""

from __future__ import annotations

import inspect
from typing import Any, TypeVar

Command = TypeVar("Command")


def with_whole_sentences(command: Command) -> Command:
    """Let a command of Typer or Click list its subcommands, and theirs, with the whole first sentence of each, which is
    wrapped where the terminal is too narrow. Returns the command, which is changed."""
    subcommands: dict[str, Any] = getattr(command, "commands", {})
    for each in subcommands.values():
        each.short_help = each.short_help or first_sentence(each.help or "")
        with_whole_sentences(each)
    return command


def first_sentence(text: str) -> str:
    """Return the first sentence of a help text, or its first paragraph where that has no full stop."""
    words = inspect.cleandoc(text).partition("\n\n")[0].split()
    end = next((position for position, word in enumerate(words) if word.endswith(".")), len(words))
    return " ".join(words[: end + 1])
