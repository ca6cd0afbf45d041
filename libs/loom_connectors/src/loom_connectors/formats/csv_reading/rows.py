"""Makes the data of a record from the fields of a row."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, cast


@lru_cache(maxsize=64)
def data_maker(columns: tuple[str, ...]) -> Callable[..., dict[str, Any]]:
    """Return a function that takes the fields of a row, as many as there are columns, and returns them by column. Up to
    two values after them are passed over.

    It is compiled, as Python's dataclasses are, because it takes a third of the time of `dict(zip(...))`, which every
    record would need."""
    names = [f"field_{number}" for number in range(len(columns))]
    items = ", ".join(f"{column!r}: {name}" for column, name in zip(columns, names, strict=True))
    code = f"lambda {', '.join([*names, '_=None', '__=None'])}: {{{items}}}"
    return cast("Callable[..., dict[str, Any]]", eval(code))  # noqa: S307 - a column stands in it as its literal
