"""Takes sensitive values out of texts: messages of errors, explanations and lines of logs, which may quote them.

A text may quote a value in part, escaped or in other case. So every run of characters is taken out that it shares with
a value, from six characters on, and also the words of short values. It takes out too much rather than too little."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cached_property
from typing import Any
from urllib.parse import quote

from loom_common.domain.sealing.tokens import MASK, masked_text

_RUN = 6
"""The number of characters that a text has in common with a value at least where it quotes it."""
_QUOTED = 24
"""The number of characters that an output has in common with a long value at least where it repeats it."""
_SHORT_VALUE = 100
"""The longest value whose words are taken out one by one."""
_SHORTEST_WORD = 3
_WORD = re.compile(r"\w+")


class Redactor:
    """Takes the values of some records out of texts."""

    def __init__(self, values: Iterable[Any]) -> None:
        """Take `values`, which are looked at when a text first needs it."""
        self._given = values

    def __call__(self, text: str) -> str:
        """Return the text with `***` for what it has of the values, and for every sealed value."""
        text = masked_text(text)
        if not text or not self._texts:
            return text
        hidden = self._hidden(text)
        if not hidden:
            return text
        parts, at = [], 0
        for start, end in _joined(hidden):
            parts += [text[at:start], MASK]
            at = end
        return "".join([*parts, text[at:]])

    def repeats(self, text: str) -> bool:
        """Tell whether a text holds a whole value, or a long part of one."""
        folded = _folded(text)
        return any(
            each in folded
            if len(each) <= _QUOTED
            else any(each[at : at + _QUOTED] in folded for at in range(0, len(each) - _QUOTED + 1, _QUOTED // 2))
            for each in self._texts
            if len(each) > _SHORTEST_WORD
        )

    def _hidden(self, text: str) -> list[tuple[int, int]]:
        folded, runs, words = _folded(text), self._runs, self._words
        found = [match.span() for match in _WORD.finditer(folded) if match[0] in words]
        found += [(at, at + _RUN) for at in range(len(folded) - _RUN + 1) if folded[at : at + _RUN] in runs]
        for short in self._signs:
            found += [match.span() for match in re.finditer(re.escape(short), folded)]
        return sorted(found)

    @cached_property
    def _texts(self) -> tuple[str, ...]:
        texts = (str(each) for each in self._given if each is not None and not isinstance(each, bool))
        return tuple({_folded(text) for text in texts if text and not text.isspace()})

    @cached_property
    def _words(self) -> frozenset[str]:
        short = [text for text in self._texts if len(text) <= _SHORT_VALUE]
        words = {word for text in short for word in _WORD.findall(text) if len(word) >= _SHORTEST_WORD}
        return frozenset(words | {text for text in short if len(text) < _RUN})

    @cached_property
    def _signs(self) -> frozenset[str]:
        """Return values that are too short for a run, and no word."""
        return frozenset(text for text in self._texts if len(text) < _RUN and not _WORD.fullmatch(text))

    @cached_property
    def _runs(self) -> frozenset[str]:
        runs: set[str] = set()
        for text in self._texts:
            for form in {text, json.dumps(text)[1:-1], ascii(text)[1:-1], quote(text, safe="").lower()}:
                runs.update(form[at : at + _RUN] for at in range(len(form) - _RUN + 1))
        return frozenset(run for run in runs if not run.isspace())


def _folded(text: str) -> str:
    """Return a text in lower case, as long as it was."""
    lower = text.lower()
    if len(lower) == len(text):
        return lower
    return "".join(low if len(low := each.lower()) == 1 else each for each in text)


def _joined(spans: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield spans that overlap as one."""
    begin, until = -1, -1
    for start, end in spans:
        if start > until:
            if until >= 0:
                yield begin, until
            begin = start
        until = max(until, end)
    if until >= 0:
        yield begin, until


_CURRENT: ContextVar[Redactor | None] = ContextVar("redactor", default=None)


@contextmanager
def redacting(redactor: Redactor) -> Iterator[None]:
    """Have `redacted_line` take these values out of what is logged within the block."""
    token = _CURRENT.set(redactor)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def redacted_line(text: str) -> str:
    """Return a text of a log without the values of the records that are at work."""
    redactor = _CURRENT.get()
    return text if redactor is None else redactor(text)


def conceal(error: BaseException, redactor: Redactor) -> BaseException:
    """Take the values out of an error and of those that led to it. Returns the error, or, where its text cannot be
    changed, one with its type's name that has no cause."""
    seen: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        _clean(each, redactor)
        following = each.__cause__ or each.__context__
        if following is not None and not _is_clean(following, redactor):
            _clean(following, redactor)
            if not _is_clean(following, redactor):
                each.__cause__, each.__context__, following = None, None, None
        each = following
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            conceal(one, redactor)
    if _is_clean(error, redactor):
        return error
    made: BaseException = type(type(error).__name__, (Exception,), {})(redactor(_text(error)))
    return made.with_traceback(error.__traceback__)


def _clean(error: BaseException, redactor: Redactor) -> None:
    error.args = tuple(redactor(each) if isinstance(each, str) else each for each in error.args)
    for name, value in list(vars(error).items()):
        if isinstance(value, str):
            setattr(error, name, redactor(value))


def _is_clean(error: BaseException, redactor: Redactor) -> bool:
    text = _text(error)
    return redactor(text) == text


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - the error is foreign, and what it raises says nothing of use
        return ""
