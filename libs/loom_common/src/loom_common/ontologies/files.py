"""Reads ontologies from YAML files."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from loom_common.domain.ontology.model import Ontology
from loom_common.errors import ConfigurationError

BUNDLED = Path(__file__).parent / "bundled"
LARGEST = 1_000_000
"""The most bytes that a file may have."""


def bundled_names() -> list[str]:
    """Return the names of the ontologies that Loom brings, `base` first."""
    return sorted((file.stem for file in BUNDLED.glob("*.yaml")), key=lambda name: (name != "base", name))


def of_file(path: Path) -> Ontology:
    """Read an ontology. Raises `ConfigurationError` with the first mistake in the file."""
    return ontology_of(_read(path, path.stat().st_mtime_ns if path.is_file() else 0), str(path))


def ontology_of(written: Any, place: str) -> Ontology:
    """Return the ontology that a mapping says. Raises `ConfigurationError`, which says where it stands."""
    if not isinstance(written, Mapping):
        raise ConfigurationError(f"The ontology {place} is no mapping. Write `name: ...` and `concepts: [...]`.")
    try:
        return Ontology.model_validate(dict(written))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        at = ".".join(map(str, first["loc"]))
        words = f"The ontology {place} has a mistake at {at or 'its top'}: {first['msg']}."
        raise ConfigurationError(f"{words} `loom ontology validate` shows every mistake with its line.") from error


@lru_cache(maxsize=64)
def _read(path: Path, _: int) -> Any:
    """Read a YAML file as plain data. The second argument tells versions of the file apart."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"The ontology {path} cannot be read: {error}.") from error
    if len(text) > LARGEST:
        raise ConfigurationError(f"The ontology {path} has more than {LARGEST:,} characters.")
    try:
        return YAML(typ="safe", pure=True).load(text)
    except (YAMLError, RecursionError, ValueError) as error:
        raise ConfigurationError(f"The ontology {path} is no YAML: {' '.join(str(error).split())[:300]}.") from error
