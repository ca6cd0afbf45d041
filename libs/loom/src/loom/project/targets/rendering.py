"""Renders a pipeline's definition for a target: puts what the target says in the place of what the file says. It does
no I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from loom.project.targets.rendered import KeyPath, Rendered
from loom.project.targets.target import SECTIONS, Overrides, Target
from loom_common.domain.definition.across_sections import models_in
from loom_common.domain.model_options.params import ParamSpec
from loom_common.domain.values.near import closest
from loom_common.errors import Problem

_PLACES = {"extract": ("source",), "load": ("destination", "fallback")}
"""The keys in which `{pipeline}` and `{target}` stand for names."""
_NAMED = re.compile(r"(?<!\$)\{(pipeline|target)\}")
_ONLY_WHERE_WRITTEN = ("transform", "evaluate")
"""The sections that a target does not give to a pipeline that has none."""
EVERY_OTHER = "*"


def rendered(written: Mapping[str, Any], name: str, target: Target) -> Rendered:
    """Return the definition for the target of that name. What a target says of one pipeline comes before what it says
    of all. A definition that is rendered already comes out the same."""
    made = Rendered({**written, "target": name})
    pipeline = written.get("name")
    said: list[tuple[KeyPath, Overrides]] = [(("targets", name), target)]
    if isinstance(pipeline, str) and (own := target.pipelines.get(pipeline)) is not None:
        said.append((("targets", name, "pipelines", pipeline), own))
    _replace_models(made, said)
    for at, overrides in said:
        names = {"pipeline": str(pipeline), "target": name}
        for section in SECTIONS:
            wanted = getattr(overrides, section)
            if wanted is None or (section in _ONLY_WHERE_WRITTEN and section not in made.definition):
                continue
            here = made.definition.get(section)
            merged = _merged(here if isinstance(here, Mapping) else {}, wanted, (section,), (*at, section), made)
            made.definition[section] = _with_names(section, merged, wanted, names)
        _give_params(made, at, overrides)
    return made


def _merged(here: Mapping[str, Any], wanted: Mapping[str, Any], at: KeyPath, said_at: KeyPath, made: Rendered) -> Any:
    """Return a section with other values for some of its keys. What is no section is replaced as a whole, and null
    removes it."""
    merged = dict(here)
    for key, value in wanted.items():
        place, said = (*at, key), (*said_at, key)
        if isinstance(value, Mapping) and isinstance(inner := here.get(key), Mapping):
            merged[key] = _merged(inner, value, place, said, made)
            continue
        for below in [each for each in made.origins if each[: len(place)] == place]:
            del made.origins[below]
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = value
            made.origins[place] = said
    return merged


def _with_names(section: str, merged: dict[str, Any], wanted: Mapping[str, Any], names: Mapping[str, str]) -> Any:
    for key in _PLACES.get(section, ()):
        if isinstance(wanted.get(key), str):
            merged[key] = _NAMED.sub(lambda found: names[found[1]], merged[key])
    return merged


def _replace_models(made: Rendered, said: list[tuple[KeyPath, Overrides]]) -> None:
    """Put the target's models in the place of those that the definition names."""
    for place, model in list(models_in(made.definition)):
        for at, overrides in reversed(said):
            key = model if model in overrides.models else EVERY_OTHER
            if (other := overrides.models.get(key)) is None:
                continue
            if (written_at := _put(made.definition, place, other)) is not None:
                made.origins[written_at] = (*at, "models", key)
            break


def _put(definition: dict[str, Any], place: KeyPath, value: str) -> KeyPath | None:
    """Put a value at a place whose path is that of the long form, and return the path that it is written at. The
    sections on the way are copied, so that what was read from a file stays as it is."""
    here: Any = definition
    path: list[str | int] = []
    for position, key in enumerate(place):
        is_short = isinstance(here, list) and isinstance(key, str)
        if is_short:  # `fallback: [model]` is `fallback: {models: [model]}`
            continue
        path.append(key)
        inner = _at(here, key)
        if position == len(place) - 1 or isinstance(inner, str):
            here[key] = value
            return tuple(path)
        if inner is None:
            return None
        here[key] = inner.copy()
        here = here[key]
    return None


def _at(here: Any, key: str | int) -> Any:
    if isinstance(here, list):
        return here[key] if isinstance(key, int) and key < len(here) else None
    return here.get(key) if isinstance(here, Mapping) else None


def _give_params(made: Rendered, at: KeyPath, overrides: Overrides) -> None:
    """Give values to the parameters that the pipeline declares. What a target says of all pipelines is for those that
    declare it; what it says of one has to be declared there."""
    written = made.definition.get("params")
    declared = dict(written) if isinstance(written, Mapping) else {}
    for name, value in overrides.params.items():
        if name in declared:
            spec = ParamSpec.long_form(declared[name])
            declared[name] = {**spec, "default": value} if isinstance(spec, Mapping) else spec
            made.origins["params", name, "default"] = (*at, "params", name)
        elif not isinstance(overrides, Target):
            known = f"one that the pipeline declares: {', '.join(declared)}" if declared else "none: it declares none"
            found = f"the parameter '{name}'"
            made.problems.append(Problem((*at, "params", name), found, known, closest(name, declared)))
    if declared:
        made.definition["params"] = declared
