"""Reads what a step says that looks records up elsewhere: by which fields, and which fields it adds. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from loom_common.domain.section import items, said

ENRICH = "enrich"
_BRACES = re.compile(r"\{\{(.*?)\}\}")
_INPUT = re.compile(r"""\s*input(?:\.([A-Za-z_]\w*)|\[\s*(['"])(.+?)\2\s*\])\s*""")


def named_in(url: Any) -> list[str]:
    """Return the fields of a record that an address names, each once."""
    inside = (_INPUT.fullmatch(each) for each in _BRACES.findall(url)) if isinstance(url, str) else ()
    return list(dict.fromkeys(found[1] or found[3] for found in inside if found is not None))


def strange_in(url: str) -> Iterator[str]:
    """Yield what an address has in braces that is no field of a record."""
    yield from (found[0] for found in _BRACES.finditer(url) if _INPUT.fullmatch(found[1]) is None)


def filled_in(text: str, value: Mapping[str, str]) -> str:
    """Return a text of an address with the values of the fields that it names."""

    def replaced(match: re.Match[str]) -> str:
        found = _INPUT.fullmatch(match[1])
        return match[0] if found is None else value[found[1] or found[3]]

    return _BRACES.sub(replaced, text)


def key_fields(written: Any) -> dict[str, str]:
    """Return the fields in `by` with their columns, as written or of a model."""
    by = said(written, "by")
    if isinstance(by, Mapping):
        return {str(field): str(column) for field, column in by.items()}
    named = [by] if isinstance(by, str) else items(written, "by")
    return {each: each for each in named if isinstance(each, str)}


def looked_up_by(step: Any) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield the fields by which a step looks records up, with the keys that name them; none of another step."""
    if said(step, "type") != ENRICH:
        return
    by = said(step, "by")
    for at, name in enumerate(key_fields(step)):
        yield ("by", *((name,) if isinstance(by, Mapping) else (at,) if isinstance(by, list) else ())), name
    yield from ((("url",), name) for name in named_in(said(step, "url")))


def wanted_fields(written: Any) -> dict[str, str]:
    """Return `fields` by their new names, as written or of a model."""
    fields = said(written, "fields")
    if isinstance(fields, Mapping):
        return {str(field): str(column) for field, column in fields.items()}
    return {each: each for each in fields if isinstance(each, str)} if isinstance(fields, list) else {}


def place_of(written: Any) -> str | None:
    """Return where records are looked up, as written or of a model."""
    place = said(written, "url") or said(written, "source")
    return place if isinstance(place, str) else None
