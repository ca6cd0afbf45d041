"""Says what a value is expected to be, in the words of people who do not know pydantic."""

from __future__ import annotations

import re

_PLAIN = {
    r"a valid boolean(, unable to interpret input)?": "true or false",
    r"a valid integer(, unable to parse string as an integer|, got a number with a fractional part)?": "a whole number",
    r"a valid number(, unable to parse string as a number)?": "a number",
    r"a valid string": "a text",
    r"a valid (list|tuple)": "a list",
    r"a valid dictionary": "keys and values",
    r"(a value )?greater than or equal to": "at least",
    r"(a value )?less than or equal to": "at most",
    r"(a value )?greater than": "more than",
    r"(String|Bytes|Data|Value) should have (at \w+ \d+ )(character|byte)": r"\2\3",
    r"\w+ should have (at \w+ \d+ items?)( after validation, not (\d+|more))?": r"\1",
    r"String should match pattern": "a text that matches",
}
"""Holds phrases of pydantic's messages, as regular expressions -> what is said instead."""


def expectation(message: str) -> str:
    """Return what a message of pydantic expects, as a phrase that follows "expected"."""
    words = message.removeprefix("Value error, ").removeprefix("Input should be ")
    for phrase, plain in _PLAIN.items():
        words = re.sub(phrase, plain, words)
    return words
