"""Writes a run's definition as YAML without what is secret in it, and what changed since another."""

from __future__ import annotations

import difflib
import io
import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import LiteralScalarString

from loom_common.domain.values.urls import redacted

HIDDEN = "***"
_SECRET_NAME = re.compile(
    r"(?i)(^|_|-)(password|passwd|secret|token|api_?key|access_?key|private_?key|authorization|credentials?|webhook)$"
)


def masked(value: Any, name: str = "") -> Any:
    """Return a value of JSON with `***` in the place of what may be a secret, which a reference such as `${TOKEN}` is
    not."""
    if isinstance(value, Mapping):
        return {key: masked(each, str(key)) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [masked(each, name) for each in value]
    if isinstance(value, str):
        return HIDDEN if _SECRET_NAME.search(name) and not _is_reference(value) else redacted(value)
    return value


def _is_reference(text: str) -> bool:
    return re.fullmatch(r"\$\{[^}]+\}", text.strip()) is not None


def as_yaml(definition: Mapping[str, Any]) -> str:
    """Return the definition as YAML, without what is secret in it."""
    return _as_yaml(json.dumps(masked(definition)))


@lru_cache(maxsize=100)
def _as_yaml(definition: str) -> str:
    """Return a definition as YAML that is masked, and written as JSON. The page of a run shows the same one again and
    again, and that of the run before."""
    yaml = YAML()
    yaml.width = 100
    written = io.StringIO()
    yaml.dump(_with_blocks(json.loads(definition)), written)
    return written.getvalue()


def _with_blocks(value: Any) -> Any:
    """Return the value with texts of several lines as blocks."""
    if isinstance(value, Mapping):
        return {key: _with_blocks(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_with_blocks(each) for each in value]
    return LiteralScalarString(value) if isinstance(value, str) and "\n" in value.strip("\n") else value


def changes(before: str, after: str) -> Sequence[tuple[str, str]]:
    """Return the lines that differ, with some around them, each with its sign: `+`, `-`, `@` or a blank."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=2)
    return [(line[:1], line[1:] if line[:1] != "@" else line) for line in list(lines)[2:]]
