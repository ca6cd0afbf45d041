"""Reads and evaluates the expressions of steps: CEL, the Common Expression Language, which has no side effects, reaches
nothing but the record, and always ends (https://cel.dev). See ADR 42.

The library is imported where the first expression is read, because most pipelines have none."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from loom_common.domain.json_values.kinds import kind_of
from loom_common.errors import RecordError

LONGEST = 2_000
"""The number of characters that an expression may have."""
_DEEPEST = 40
"""The number of brackets within each other: the parser is recursive, and would take the process down."""
WHOLE = "record"
"""The name by which an expression sees the whole record, e.g. for fields whose names are no identifiers."""
_TEXT = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")
_TEXT_OR_KEY = re.compile(rf"(\brecord\[\s*)?(?:{_TEXT.pattern})")
_BOUND = re.compile(r"\.(?:all|exists|exists_one|filter|map)\(\s*([A-Za-z_]\w*)\s*,")
"""The name that an expression gives to each item of a list."""
_FIELD = re.compile(r"""\brecord(?:\.([A-Za-z_]\w*)|\[\s*(?:'([^']+)'|"([^"]+)")\s*\])""")
_MAY_LACK = re.compile(r"""\bhas\(\s*record\.([A-Za-z_]\w*)|['"]([^'"]+)['"]\s+in\s+record\b""")
_COMPARED = re.compile(
    r"""(?<![\w.])(?:record\.)?([A-Za-z_]\w*)\s*(==|!=|<=|>=|<|>)\s*"""
    r"""(?:'([^'\\]*)'|"([^"\\]*)"|(-?\d+(?:\.\d+)?)\b|(true|false)\b)"""
)


class ExpressionMistake(ValueError):
    """Reports an expression that cannot be read."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Describes a field that an expression compares with a constant."""

    field: str
    operator: str
    value: str | float | bool


@dataclass(frozen=True, slots=True)
class Expression:
    """Holds an expression that was read."""

    text: str
    names: frozenset[str]
    """The fields that it names as variables; `record` for the whole record."""
    reads: tuple[str, ...]
    """The fields that the record has to have."""
    _program: Any

    def value(self, view: Mapping[str, Any]) -> Any:
        """Return what it comes to for a record. Raises `RecordError` where a field is missing or has a type that the
        expression cannot use."""
        given = {name: view[name] for name in self.names if name in view}
        if WHOLE in self.names:
            given[WHOLE] = view
        try:
            return self._program.execute(given)
        except Exception as error:
            raise RecordError(f"`{self.text}` {self._why(view)}", code="expression") from error

    def holds(self, view: Mapping[str, Any]) -> bool:
        """Tell whether it is true of a record. Raises `RecordError` also where it is neither true nor false."""
        value = self.value(view)
        if not isinstance(value, bool):
            words = f"`{self.text}` comes to {kind_of(value)}, which is neither true nor false"
            raise RecordError(words, code="expression")
        return value

    def _why(self, view: Mapping[str, Any]) -> str:
        missing = [name for name in self.reads if name not in view]
        if missing:
            return f"names {', '.join(missing)}, which the record does not have"
        held = ", ".join(f"{name} is {kind_of(view[name])}" for name in self.reads)
        return f"cannot be computed: {held or 'its values do not fit each other'}"


@lru_cache(maxsize=1_000)
def expression(text: str) -> Expression:
    """Read an expression. Raises `ExpressionMistake` with what was expected."""
    if len(text) > LONGEST:
        raise ExpressionMistake(f"an expression of at most {LONGEST:,} characters")
    if _depth(text) > _DEEPEST:
        raise ExpressionMistake(f"an expression with at most {_DEEPEST} brackets within each other")
    import cel

    try:
        program = cel.compile(text)
        names = frozenset(map(str, program.variables()))
    except Exception as error:
        raise ExpressionMistake(f"an expression that can be read ({_parsing(error)})") from error
    without_texts = _TEXT_OR_KEY.sub(lambda found: found.group() if found.group(1) else "''", text)
    bare = [each.group(1) or each.group(2) or each.group(3) for each in _FIELD.finditer(without_texts)]
    may_lack = {each.group(1) or each.group(2) for each in _MAY_LACK.finditer(text)}
    fields = sorted(names - {WHOLE, *_BOUND.findall(without_texts)})
    reads = tuple(dict.fromkeys([*fields, *(each for each in bare if each not in may_lack)]))
    return Expression(text, names, reads, program)


def comparisons(text: str) -> Iterator[Comparison]:
    """Yield the fields that an expression compares with constants."""
    for found in _COMPARED.finditer(text):
        name, operator, single, double, number, truth = found.groups()
        if truth is not None:
            yield Comparison(name, operator, truth == "true")
        elif number is not None:
            yield Comparison(name, operator, float(number))
        else:
            yield Comparison(name, operator, double if single is None else single)


def constant(read: Expression) -> bool | None:
    """Return the value of an expression that names nothing; None of others."""
    if read.names:
        return None
    try:
        return read.holds({})
    except RecordError:
        return None


def _depth(text: str) -> int:
    """Count the brackets within each other, without those in texts, and the signs and choices, which nest likewise."""
    bare = _TEXT.sub("", text)
    deepest = depth = 0
    for mark in bare:
        depth += (mark in "([{") - (mark in ")]}")
        deepest = max(deepest, depth)
    signs = max((len(each) for each in re.findall(r"[!\-\s]{2,}", bare)), default=0)
    return deepest + signs + bare.count("?")


def _parsing(error: Exception) -> str:
    """Return the parser's own words without the copy of the expression."""
    words = " ".join(str(error).split())
    found = re.search(r"<input>:\d+:(\d+): ([^|]+)", words)
    if found is None:
        return words[:160]
    what = found.group(2).partition(" expecting ")[0].removeprefix("Syntax error: ").strip()
    what = what.replace("'<EOF>'", "its end")[:160]
    return f"at character {found.group(1)}: {what}"
