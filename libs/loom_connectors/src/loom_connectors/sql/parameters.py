"""Contains what SQL connectors share: parameters that are bound, names that are quoted, the limits of time."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from loom_common.errors import InvalidDefinition, LookupFailed, PermanentError, Problem, SourceError
from loom_connectors.options import Options, closest

_TOKENS = re.compile(
    r"""(?P<comment>--[^\n]*|/\*.*?\*/)
      | (?P<quoted>'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`)
      | (?P<braces>\{\{(?P<inside>.*?)\}\}|\{[%#].*?[%#]\})""",
    re.VERBOSE | re.DOTALL,
)
_BRACES = re.compile(r"\{\{.*?\}\}|\{[%#]", re.DOTALL)
_NAME = re.compile(r"\s*(?:params\.)?([A-Za-z_]\w*)\s*")


class Timeouts(Options):
    """Holds the seconds until a database is given up on."""

    connect: float = Field(3.0, gt=0, description="A connection.")
    query: float = Field(10.0, gt=0, description="One page of a source.")
    count: float = Field(3.0, gt=0, description="Counting a source. Past it, the total stays unknown.")
    load: float = Field(5.0, gt=0, description="One statement of a load.")
    transaction: float = Field(60.0, gt=0, description="All that a batch needs.")
    finalize: float = Field(900.0, gt=0, description="Putting a replacement in place.")


class WarehouseTimeouts(Timeouts):
    """Holds the seconds until a warehouse is given up on. One that is suspended takes some of them to resume."""

    connect: float = Field(30.0, gt=0, description="Logging in.")
    query: float = Field(60.0, gt=0, description="One page of a source.")
    count: float = Field(30.0, gt=0, description="Counting a source. Past it, the total stays unknown.")
    load: float = Field(60.0, gt=0, description="One statement of a load.")
    transaction: float = Field(300.0, gt=0, description="All that a batch needs.")


def see_timeouts(trouble: type[PermanentError]) -> str:
    """Return the sentence that names the limit of time that was passed: of a source, where `trouble` is `SourceError`,
    of a lookup, or of a destination."""
    if trouble is LookupFailed:
        return "Where it is only slow, raise `timeouts.query` in the `options` of the step (seconds for one statement)."
    if trouble is SourceError:
        return "Where it is only slow, raise `extract.options.timeouts.query` (seconds for one page)."
    return (
        "Where it is only slow, raise `load.options.timeouts`: `load` (seconds for a statement), `transaction` or "
        "`finalize`."
    )


class SqlSourceOptions(Options):
    """Holds settings of a database source."""

    timeouts: Timeouts = Field(default_factory=Timeouts, description="In seconds.")


class SqlDestinationOptions(Options):
    """Holds settings of a database destination."""

    create_table: bool = Field(True, description="Whether to make the table where it is missing.")
    timeouts: Timeouts = Field(default_factory=Timeouts, description="In seconds.")


@dataclass(frozen=True, slots=True)
class QueryMistake:
    """Describes one mistake in how a query names parameters."""

    offset: int
    """The number of characters of the query before it."""
    found: str
    expected: str
    suggestion: str | None = None


def query_mistakes(query: str, params: Collection[str]) -> list[QueryMistake]:
    """Return everything in braces that is not `{{ name }}` or `{{ params.name }}`, every unknown name, and every
    marker inside quotes, where it would be text. So is NUL, which no SQL may hold."""
    mistakes = []
    if (at := query.find("\0")) >= 0:
        mistakes.append(QueryMistake(at, "NUL", "SQL, which holds none: bind such a value by `params`"))
    for token in _TOKENS.finditer(query):
        if token["quoted"] is not None and (inner := _BRACES.search(token[0])):
            found = f"{inner[0]} inside quotes ({token[0]})"
            expected = "it without quotes: it is bound as a value, not spliced into the text"
            mistakes.append(QueryMistake(token.start() + inner.start(), found, expected))
        elif token["braces"] is not None and (named := _NAME.fullmatch(token["inside"] or "")) is None:
            expected = "{{ name }} or {{ params.name }}: values are bound, and SQL cannot be put together by a template"
            mistakes.append(QueryMistake(token.start(), token[0], expected))
        elif token["braces"] is not None and named is not None and named[1] not in params:
            known = f"declared in `params`: {', '.join(params) or 'none'}"
            found = f"{token[0]}, which names no parameter"
            mistakes.append(QueryMistake(token.start(), found, f"one {known}", closest(named[1], list(params))))
    return mistakes


def query_params(query: str) -> set[str]:
    """Return every parameter that a query names."""
    inside = (token["inside"] for token in _TOKENS.finditer(query))
    return {named[1] for text in inside if text is not None and (named := _NAME.fullmatch(text))}


def bound(query: str, params: Mapping[str, Any], marker: Callable[[int], str]) -> tuple[str, list[Any]]:
    """Return the query with `{{ name }}` and `{{ params.name }}` as markers (numbered from 1), and their values in
    order.

    Raises `InvalidDefinition` with every mistake in it."""
    if mistakes := query_mistakes(query, params):
        raise InvalidDefinition(
            [Problem(("extract", "query"), each.found, each.expected, each.suggestion) for each in mistakes]
        )
    values: list[Any] = []
    numbers: dict[str, int] = {}

    def replaced(match: re.Match[str]) -> str:
        named = _NAME.fullmatch(match["inside"] or "")
        if match["braces"] is None or named is None:
            return match[0]
        name = named[1]
        if name not in numbers or marker(1) == marker(2):  # unnumbered ones need their value every time
            values.append(params[name])
            numbers[name] = len(values)
        return marker(numbers[name])

    return _TOKENS.sub(replaced, query).strip().rstrip(";").rstrip(), values


def quoted(name: str) -> str:
    """Quote an identifier that is nothing but a name, whatever characters it has."""
    return '"' + name.replace('"', '""') + '"'


def name_list(names: Sequence[str], prefix: str = "") -> str:
    """Write identifiers, quoted, with commas between."""
    return ", ".join(prefix + quoted(name) for name in names)


def listed(names: Sequence[str]) -> str:
    """Write names for a message."""
    return ", ".join(names) or "none"
