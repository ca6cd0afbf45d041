"""Matches topic patterns of AMQP: `*` matches one word and `#` any number of words; words are separated by dots."""

from __future__ import annotations

from collections.abc import Sequence


def matches(pattern: str, key: str) -> bool:
    """Say whether a message with this routing key reaches a queue bound with this pattern."""
    return _match(_words(pattern), _words(key))


def _words(text: str) -> Sequence[str]:
    return text.split(".") if text else ()


def _match(pattern: Sequence[str], words: Sequence[str]) -> bool:
    if not pattern:
        return not words
    if pattern[0] == "#":
        return any(_match(pattern[1:], words[taken:]) for taken in range(len(words) + 1))
    return bool(words) and pattern[0] in ("*", words[0]) and _match(pattern[1:], words[1:])
