"""Runs the user's regular expressions with a time limit.

A search with Python's own engine can take years, and blocks the whole process, its timeouts and Ctrl-C meanwhile. The
engine used here accepts the same patterns, releases the interpreter lock while it searches, and stops at its time
limit."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Annotated, Any

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from loom_common.domain.marks import TIMEOUT
from loom_common.errors import RecordError

SEARCH_SECONDS = 2.0
"""The CPU seconds that one search may take."""
LARGEST = 100_000
"""The most characters and groups of a pattern whose counted repetitions are written out."""

_TOKEN = re.compile(
    r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\{(?P<least>\d*)(?:,(?P<most>\d*))?\}|(?P<open>\()|(?P<close>\))|.", re.DOTALL
)


class Pattern:
    """Represents a compiled pattern."""

    def __init__(self, written: str) -> None:
        """Raises `ValueError` where `written` is not a regular expression or is too large."""
        import regex  # type: ignore[import-untyped]  # here, because few pipelines have a pattern

        try:
            re.compile(written)
        except (re.error, OverflowError, RecursionError) as error:
            raise ValueError(str(error)) from error
        if (size := _written_out(written)) > LARGEST:
            raise ValueError(f"its repetitions stand for {size:,} characters, more than {LARGEST:,}")
        try:
            self._compiled: Any = regex.compile(written)
        except (regex.error, OverflowError, RecursionError) as error:
            raise ValueError(str(error)) from error
        self.written = written

    def found_in(self, text: str) -> bool:
        """Say whether it matches anywhere in the text. Raises `RecordError` (code `timeout`) where the search takes too
        long."""
        try:
            return self._compiled.search(text, timeout=SEARCH_SECONDS, concurrent=True) is not None
        except TimeoutError as error:
            shown = self.written if len(self.written) <= 100 else f"{self.written[:97]}..."
            words = f"The pattern {shown} took longer than {SEARCH_SECONDS:g} s on a text of {len(text):,} characters"
            raise RecordError(words, code=TIMEOUT) from error


@lru_cache(maxsize=256)
def pattern_of(written: str) -> Pattern:
    """Return the compiled pattern, from a cache. Raises `ValueError`."""
    return Pattern(written)


def _written_out(pattern: str) -> int:
    """Return the number of characters and groups of the pattern with its counted repetitions written out, at least."""
    sizes, last = [0], [0]
    for token in _TOKEN.finditer(pattern):
        if token["open"]:
            sizes.append(0)
            last.append(0)
        elif token["close"] and len(sizes) > 1:
            size = sizes.pop() + 1
            last.pop()
            sizes[-1] += size
            last[-1] = size
        elif (least := token["least"]) is not None and (least or token["most"]):
            times = int(token["most"] or least or 1)
            sizes[-1] += last[-1] * max(0, times - 1)
            last[-1] *= times
        else:
            sizes[-1] += 1
            last[-1] = 1
    return sum(sizes)


def _compiles(written: str) -> str:
    try:
        pattern_of(written)
    except ValueError as error:
        raise PydanticCustomError("regex", "a regular expression ({why})", {"why": str(error)}) from error
    return written


PatternText = Annotated[str, AfterValidator(_compiles)]
"""Holds a regular expression as a definition writes it."""
