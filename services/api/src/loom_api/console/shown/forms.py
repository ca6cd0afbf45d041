"""Reads the forms that pages send."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import parse_qsl

from fastapi import Request
from starlette.exceptions import HTTPException

from loom_common.text import storable_value

MEDIA_TYPE = "application/x-www-form-urlencoded"
_MOST_FIELDS = 2_000


class Form:
    """Holds the fields of a form, in the order in which they came."""

    def __init__(self, fields: Sequence[tuple[str, str]]) -> None:
        self._fields = fields

    def one(self, name: str) -> str | None:
        """Return what was entered in a field; None where it was left empty, or is missing."""
        found = next((value for key, value in self._fields if key == name), "")
        return found if found.strip() else None

    def all(self, name: str) -> list[str]:
        """Return the values of the fields of one name."""
        return [value for key, value in self._fields if key == name]

    def below(self, prefix: str) -> Mapping[str, str]:
        """Return the values of the fields whose names begin with a prefix, by what follows it."""
        return {key.removeprefix(prefix): value for key, value in self._fields if key.startswith(prefix)}


async def read_form(request: Request) -> Form:
    """Read the form in the body of a request. Raises `HTTPException` where there is none."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != MEDIA_TYPE:
        raise HTTPException(415, "This address takes what a form of the console sends. Programs ask below /api/v1.")
    try:
        text = (await request.body()).decode("ascii")
        said = parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict")
    except ValueError as error:  # also what is no ASCII or no UTF-8
        raise HTTPException(400, "The form cannot be read.") from error
    if storable_value(dict(said)) != dict(said):
        raise HTTPException(400, "A field of the form holds the character NUL, which no name and no prompt has.")
    return Form([(name, unified(value)) for name, value in said])


def unified(text: str) -> str:
    r"""Return a text with `\n` at the end of its lines, where browsers write `\r\n`."""
    return text.replace("\r\n", "\n").replace("\r", "\n")
