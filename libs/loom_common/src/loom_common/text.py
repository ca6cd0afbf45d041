"""Makes text storable everywhere, and describes any error.

Half a surrogate pair cannot be written as UTF-8, and Postgres stores no NUL. Both occur in text from user code, in cut
answers of models, and in broken files. They are replaced by U+FFFD where the text enters, because the report of a
failure must not fail itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import chain
from typing import Any

REPLACEMENT = "\ufffd"
LONGEST_REASON = 4_000
"""The most characters of an error's message that are kept in tables, logs, messages and headers."""
DEEPEST = 150
"""The most levels of lists and objects that a message can carry."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_CUT = " [...]"
_LARGEST_NUMBER = 14_000
"""The most bits of an integer that is written out; Python refuses more than 4,300 digits."""


def storable(text: str) -> str:
    """Return `text` with U+FFFD for NUL and for unpaired surrogates, which some databases cannot store."""
    return _UNSTORABLE.sub(REPLACEMENT, text) if _UNSTORABLE.search(text) else text


def readable(text: str) -> str:
    """Return `text` as valid UTF-8: U+FFFD for each unpaired surrogate, and the character for each pair."""
    if not _SURROGATE.search(text):
        return text
    return _SURROGATE.sub(REPLACEMENT, paired(text))


def paired(text: str) -> str:
    """Return `text` with the character that each surrogate pair stands for. Halves without the other stay.

    JSON writes a character beyond U+FFFF as such a pair of escapes, and YAML 1.2 takes any JSON."""
    if not _SURROGATE.search(text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


def bounded(text: str, longest: int = LONGEST_REASON) -> str:
    """Return `text`, cut to `longest` characters."""
    return text if len(text) <= longest else text[: longest - len(_CUT)] + _CUT


def words_of(error: BaseException) -> str:
    """Return the message of an error, storable and bounded. It never raises.

    The errors of a group are joined."""
    if isinstance(error, BaseExceptionGroup):
        told = dict.fromkeys(named(each) for each in error.exceptions)
        return bounded("; ".join(told))
    return shown(error)


def named(error: BaseException) -> str:
    """Return the error's type and its message."""
    if isinstance(error, BaseExceptionGroup):
        return words_of(error)
    words = words_of(error)
    kind = storable(type(error).__name__)
    return f"{kind}: {words}" if words else kind


def shown(value: object, longest: int = LONGEST_REASON) -> str:
    """Return `str(value)`, storable and bounded, even where the object's `__str__` fails."""
    try:
        text = str(value)
    except BaseException as refused:  # noqa: BLE001 - the object is foreign, and what it raises says nothing of use
        return f"({type(value).__name__}, which cannot be shown: its text raised {type(refused).__name__})"
    return bounded(storable(text), longest)


def storable_value(value: Any, depth: int = DEEPEST) -> Any:
    """Return a value whose texts are storable and whose depth a message can carry.

    Values that are not JSON become text. It is for reports of failures, never for data that is loaded."""
    if isinstance(value, int) and value.bit_length() > _LARGEST_NUMBER:
        return "(a number too large to be shown)"
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return storable(value)
    if depth <= 0:
        return "[nested too deeply]"
    if isinstance(value, Mapping):
        return {shown(key): storable_value(each, depth - 1) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [storable_value(each, depth - 1) for each in value]
    return shown(value)


def unstorable(value: Any, depth: int = DEEPEST) -> str | None:
    """Return what in `value`, which is made of JSON types, no message can carry; None where there is nothing."""
    if isinstance(value, str):
        return None if value.isascii() or _is_unicode(value) else "half a surrogate pair, which is no text"
    if isinstance(value, int):
        return "a whole number of more than 4,000 digits" if value.bit_length() > _LARGEST_NUMBER else None
    if not isinstance(value, dict | list):
        return None
    if depth <= 0:
        return f"more than {DEEPEST} levels of lists and objects within each other"
    for each in chain(value, value.values()) if isinstance(value, dict) else value:
        if type(each) is str and each.isascii():  # most values of most records
            continue
        if (why := unstorable(each, depth - 1)) is not None:
            return why
    return None


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
