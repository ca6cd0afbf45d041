"""What SQL connectors share: parameters that are bound, names that are quoted, the limits of time."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import Field

from loom_common.errors import ConfigurationError
from loom_connectors.options import Options, closest

_TOKENS = re.compile(
    r"""(?P<comment>--[^\n]*|/\*.*?\*/)
      | (?P<quoted>'(?:[^']|'')*'|"(?:[^"]|"")*")
      | (?P<braces>\{\{(?P<inside>.*?)\}\}|\{[%#].*?[%#]\})""",
    re.VERBOSE | re.DOTALL,
)
_BRACES = re.compile(r"\{\{.*?\}\}|\{[%#]", re.DOTALL)
_NAME = re.compile(r"\s*(?:params\.)?([A-Za-z_]\w*)\s*")


class Timeouts(Options):
    """Seconds until a database is given up on."""

    connect: float = Field(3.0, gt=0, description="A connection.")
    query: float = Field(10.0, gt=0, description="One page of a source.")
    count: float = Field(3.0, gt=0, description="Counting a source. Past it, the total stays unknown.")
    load: float = Field(5.0, gt=0, description="One statement of a load.")
    transaction: float = Field(60.0, gt=0, description="All that a batch needs.")
    finalize: float = Field(900.0, gt=0, description="Putting a replacement in place.")


class SqlSourceOptions(Options):
    """Settings of a database source."""

    timeouts: Timeouts = Field(default_factory=Timeouts, description="In seconds.")


class SqlDestinationOptions(Options):
    """Settings of a database destination."""

    create_table: bool = Field(True, description="Whether to make the table where it is missing.")
    timeouts: Timeouts = Field(default_factory=Timeouts, description="In seconds.")


def bound(query: str, params: Mapping[str, Any], placeholder: Callable[[int], str]) -> tuple[str, list[Any]]:
    """The query with `{{ name }}` and `{{ params.name }}` as placeholders (numbered from 1), and their values in order.

    Raises `ConfigurationError` for anything else in braces, for an unknown name, and for a placeholder inside quotes,
    where it would be text."""
    values: list[Any] = []
    numbers: dict[str, int] = {}

    def replaced(match: re.Match[str]) -> str:
        if match["comment"] is not None:
            return match[0]
        if match["quoted"] is not None:
            if inner := _BRACES.search(match[0]):
                raise ConfigurationError(
                    f"extract.query: {inner[0]} stands inside quotes ({match[0]}). Write it without quotes: it is "
                    "bound as a value, not spliced into the text."
                )
            return match[0]
        named = _NAME.fullmatch(match["inside"] or "")
        if named is None:
            raise ConfigurationError(
                f"extract.query: found {match[0]}; expected {{{{ name }}}} or {{{{ params.name }}}}: values are bound, "
                "and SQL cannot be put together by a template."
            )
        name = named[1]
        if name not in params:
            near = closest(name, list(params))
            hint = f" Did you mean '{near}'?" if near else ""
            known = ", ".join(params) or "none"
            raise ConfigurationError(
                f"extract.query: {match[0]} names no parameter; declared in `params`: {known}.{hint}"
            )
        if name not in numbers or placeholder(1) == placeholder(2):  # unnumbered ones need their value every time
            values.append(params[name])
            numbers[name] = len(values)
        return placeholder(numbers[name])

    return _TOKENS.sub(replaced, query).strip().rstrip(";").rstrip(), values


def quoted(name: str) -> str:
    """An identifier that is nothing but a name, whatever characters it has."""
    return '"' + name.replace('"', '""') + '"'


def name_list(names: Sequence[str], prefix: str = "") -> str:
    """Identifiers, quoted, with commas between."""
    return ", ".join(prefix + quoted(name) for name in names)


def listed(names: Sequence[str]) -> str:
    """Names for a message."""
    return ", ".join(names) or "none"
