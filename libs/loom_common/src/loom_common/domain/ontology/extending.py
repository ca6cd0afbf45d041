"""Puts an ontology together from those that it extends."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from loom_common.domain.ontology.model import Ontology
from loom_common.domain.values.ids import content_hash
from loom_common.errors import ConfigurationError

Read = Callable[[str], Ontology]
"""Returns an ontology as it is written, by its name. Raises `ConfigurationError` where there is none."""
_BY_NAME = ("concepts", "metrics", "quality_rules")


def extended(ontology: Ontology, read: Read) -> Ontology:
    """Return an ontology with all that those have which it extends, directly or not, and without `extends`. Raises
    `ConfigurationError` where they extend each other in a circle, and what `read` raises."""
    return Ontology.model_validate(_merged(ontology, read, ()))


def version_of(ontology: Ontology) -> str:
    """Return the beginning of the hash of an ontology's content, which tells its versions apart."""
    return content_hash(content_of(ontology).encode())[:12]


def content_of(ontology: Ontology) -> str:
    """Return an ontology as text: the same for the same content."""
    return json.dumps(ontology.model_dump(mode="json", exclude_defaults=True), sort_keys=True, ensure_ascii=False)


def _merged(ontology: Ontology, read: Read, way: tuple[str, ...]) -> dict[str, Any]:
    if ontology.name in way:
        circle = " -> ".join((*way[way.index(ontology.name) :], ontology.name))
        raise ConfigurationError(f"The ontologies extend each other in a circle: {circle}. Take one `extends` out.")
    whole: dict[str, Any] = {}
    for name in ontology.extends:
        whole = _over(whole, _merged(read(name), read, (*way, ontology.name)))
    own = ontology.model_dump(mode="json", exclude_unset=True)
    own.pop("extends", None)
    return _over(whole, own)


def _over(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `upper` says over what `lower` says."""
    whole = {**lower, **upper}
    for key in _BY_NAME:
        whole[key] = _by_name((*lower.get(key, ()), *upper.get(key, ())))
    hints = {each["pattern"]: each for each in (*lower.get("semantic_hints", ()), *upper.get("semantic_hints", ()))}
    whole["semantic_hints"] = list(hints.values())
    return whole


def _by_name(every: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for each in every:
        found[each["name"]] = {**found.get(each["name"], {}), **each}
    return list(found.values())
