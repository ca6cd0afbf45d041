"""Puts parameters of a run and credentials into parameters of a query and into bodies."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from loom_common.config.credentials import Credentials
from loom_common.errors import InvalidDefinition, Problem
from loom_connectors.options import closest
from loom_connectors.rest.http.address import Query

_PARAMETER = re.compile(r"\{\{\s*(?:params\.)?([A-Za-z_]\w*)\s*\}\}")
Written = Mapping[str, str | int | float | bool | Sequence[str | int | float | bool]]


def named_in(text: str) -> list[str]:
    """Return the parameters that a text names."""
    return _PARAMETER.findall(text)


class Values:
    """Replaces `{{ name }}` by a parameter of the run, and `${NAME}` by a credential."""

    def __init__(self, params: Mapping[str, Any], credentials: Credentials, section: str) -> None:
        """`section` is `extract` or `load`, for what is said of mistakes."""
        self._params = params
        self._credentials = credentials
        self._section = section

    def open_query(self, written: Written) -> Query:
        """Return those parameters of a query that hold no secret. Raises `InvalidDefinition`."""
        return [(name, self._text(each)) for name, each in _pairs(written) if not _refers(each)]

    def secret_query(self, written: Written) -> Query:
        """Return the parameters that refer to secrets, with their values. Raises `MissingCredential`."""
        return [(name, self._credentials.expand(str(each))) for name, each in _pairs(written) if _refers(each)]

    def filled(self, value: Any) -> Any:
        """Return JSON with its texts filled. A text that is nothing but a parameter becomes its value."""
        match value:
            case dict():
                return {name: self.filled(each) for name, each in value.items()}
            case list():
                return [self.filled(each) for each in value]
            case str() if (whole := _PARAMETER.fullmatch(value)) is not None:
                found = self._value(whole[1])
                return found if isinstance(found, str | int | float | bool) else str(found)
            case str():
                return self._credentials.expand(self._text(value))
            case _:
                return value

    def _text(self, value: str | float) -> str:
        if isinstance(value, bool):
            return "true" if value else "false"
        return _PARAMETER.sub(lambda found: str(self._value(found[1])), value) if isinstance(value, str) else str(value)

    def _value(self, name: str) -> Any:
        if name in self._params:
            return self._params[name]
        known = list(self._params)
        expected = f"one declared in `params`: {', '.join(known) or 'none'}"
        found = f"{{{{ {name} }}}}, which names no parameter"
        raise InvalidDefinition([Problem((self._section, "options"), found, expected, closest(name, known))])


def _pairs(written: Written) -> list[tuple[str, str | int | float | bool]]:
    pairs: list[tuple[str, str | int | float | bool]] = []
    for name, value in written.items():
        if isinstance(value, str | int | float | bool):
            pairs.append((name, value))
        else:
            pairs += [(name, each) for each in value]
    return pairs


def _refers(value: object) -> bool:
    return isinstance(value, str) and "${" in value
