"""Writes JSON values as HTML tables, for notebooks. Whatever a value holds is text there, and never markup."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from loom_common.domain.sealing.tokens import masked_text
from loom_common.text import REPLACEMENT, storable

MOST_ROWS = 50
"""Says how many items of a list are written. The others are counted."""
_LONGEST = 500
_UNSEEN = re.compile("[\x01-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Finds characters that nobody sees, and that change the order of what is seen."""
_CELL = "padding:2px 10px 2px 0;text-align:left;vertical-align:top"


def text_of(value: Any) -> str:
    """Return a value as text of HTML: what could end the text is escaped, a sealed value is `***`, and no more than 500
    characters are written."""
    match value:
        case None:
            words = ""
        case bool():
            words = "yes" if value else "no"
        case int():
            words = f"{value:,}"
        case float():
            words = f"{value:,.6g}"
        case _:
            words = str(value)
    words = masked_text(storable(words))
    return escape(_UNSEEN.sub(REPLACEMENT, words if len(words) <= _LONGEST else f"{words[: _LONGEST - 1]}…"))


def as_html(value: Any) -> str:
    """Return a JSON value as HTML: objects of one kind as the rows of a table, an object as a table of its keys."""
    match value:
        case Mapping():
            return table((), [(key, each) for key, each in value.items() if each not in ({}, [], ())])
        case list() | tuple() if value and all(isinstance(each, Mapping) for each in value):
            columns = list(dict.fromkeys(str(key) for each in value for key in each))
            return table(columns, [[each.get(column) for column in columns] for each in value])
        case list() | tuple():
            return ", ".join(map(as_html, value[:MOST_ROWS])) + _more(value)
        case _:
            return text_of(value)


def table(columns: Sequence[str], rows: Sequence[Iterable[Any]]) -> str:
    """Return a table with a row for each of `rows`, of values of JSON, and with a head where it has `columns`."""
    lines = [_row("th", [text_of(column.replace("_", " ")) for column in columns])] if columns else []
    lines += [_row("td", map(as_html, row)) for row in rows[:MOST_ROWS]]
    return f'<table style="border-collapse:collapse">{"".join(lines)}</table>{_more(rows)}'


def _row(element: str, cells: Iterable[str]) -> str:
    return "<tr>" + "".join(f'<{element} style="{_CELL}">{cell}</{element}>' for cell in cells) + "</tr>"


def _more(listed: Sequence[Any]) -> str:
    return f" and {len(listed) - MOST_ROWS:,} more" if len(listed) > MOST_ROWS else ""
