"""Finds output fields that have the name of a field loaded with them, so that one would overwrite the other. It does no
I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from loom_common.domain.definition.output import TEXT, is_json_schema
from loom_common.domain.section import Mistake, items, mistake, said


def overwriting(written: Mapping[str, Any]) -> Iterable[Mistake]:
    """Yield the output fields of an `ai` transform that have the name of a key field or of a field in
    `load.include`."""
    transform, extract, load = (said(written, section) for section in ("transform", "extract", "load"))
    if said(transform, "type") != "ai":
        return
    key = said(extract, "key")
    keys = [key] if isinstance(key, str) else key if isinstance(key, list) else []
    included = items(load, "include")
    for at, name in _fields(said(transform, "output")):
        if name in keys:
            expected = f"another name: it would overwrite the record's key `{name}`, which is loaded with the output"
            yield mistake(("transform", *at), "overwrites_key", expected, name)
        elif name in included:
            expected = f"another name: it would overwrite the input's field `{name}`, which `load.include` names"
            yield mistake(("transform", *at), "overwrites_included", expected, name)


def _fields(output: Any) -> Iterator[tuple[tuple[str, ...], str]]:
    if output == TEXT:
        yield ("output",), TEXT
    elif isinstance(output, Mapping):
        whole = is_json_schema(output) and isinstance(output.get("properties"), Mapping)
        where = ("output", "properties") if whole else ("output",)
        for name in output["properties"] if whole else output:
            yield (*where, str(name)), str(name)
