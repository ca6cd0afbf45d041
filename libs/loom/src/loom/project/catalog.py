"""Lists the project's pipelines by name: those in its folders."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from loom.project import definition_file, yaml_positions
from loom.project.config import LoomConfig
from loom.project.definition_file import LoadedPipeline
from loom_common.domain.section import said
from loom_common.domain.values.near import closest
from loom_common.errors import ConfigurationError, InvalidDefinition, NotFound, Problem

_IN_BRACES = re.compile(r"(?:\ufeff|\s|#[^\n]*\n|---)*\{")
"""Finds the beginning of a file whose keys stand in braces, as in JSON."""
_KEYS = {
    in_braces: [re.compile(rf"(?m){before}[\"']?{key}[\"']?\s*:") for key in ("name", "extract")]
    for in_braces, before in ((False, "^"), (True, r"[{,\s]"))
}
_SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Entry:
    """Describes a pipeline file, as its first keys describe it."""

    name: str
    version: str
    description: str
    path: Path
    depends_on: tuple[str, ...] = ()
    spawn: tuple[str, ...] = ()
    source: str | None = None
    """None where the file names none, or reads it by a query."""
    destination: str | None = None


def entries(config: LoomConfig) -> list[Entry]:
    """Return every pipeline file in the project's folders and the folders in them, by name. Broken files are left out:
    `loom validate` speaks about those."""
    found: dict[Path, Entry] = {}
    for path in _files(config):
        if path.resolve() not in found and (entry := _entry(path, config)):
            found[path.resolve()] = entry
    return sorted(found.values(), key=lambda entry: (entry.name, str(entry.path)))


def is_pipeline(path: Path) -> bool:
    """Tell whether a file looks like a pipeline's, whatever mistakes it has."""
    try:
        return _looks_like_one(yaml_positions.read_text(path, str(path)))
    except InvalidDefinition:
        return False


def find(
    target: str, config: LoomConfig, registered: Iterable[str] = (), *, by_name: bool = False
) -> LoadedPipeline | str:
    """The pipeline a user means: a file's path, unless it is meant `by_name` alone, the name of one in the project, or
    a registered name (given back).

    Raises `InvalidDefinition`, `NotFound`, and `ConfigurationError` where more than one thing is meant."""
    if (path := _named(target, config) if by_name else _path(target, config)) is not None:
        return _loaded(path, config)
    if target in registered:
        return target
    raise _nothing_named(target, config, registered)


def find_file(target: str, config: LoomConfig) -> LoadedPipeline:
    """The pipeline a user means: a file's path, or the name of one in the project. Raises as `find` does."""
    if (path := _path(target, config)) is not None:
        return _loaded(path, config)
    raise _nothing_named(target, config, ())


def _loaded(path: Path, config: LoomConfig) -> LoadedPipeline:
    loaded = definition_file.load(path, config.applied_to, config.allowed)
    if config.target is not None and (strange := strange_names(config, [loaded.pipeline.name])):
        raise InvalidDefinition(strange)
    return loaded


def is_path(target: str) -> bool:
    """Tell whether the path of a file is meant, and no name."""
    return Path(target).suffix in _SUFFIXES or os.sep in target or os.path.isfile(target)  # noqa: PTH113 - also for what no file can be named


def _path(target: str, config: LoomConfig) -> Path | None:
    """Return the file that is meant; None where the project has none of that name."""
    return Path(target) if is_path(target) else _named(target, config)


def _named(target: str, config: LoomConfig) -> Path | None:
    named = [entry.path for entry in entries(config) if entry.name == target]
    if len(named) > 1:
        places = ", ".join(map(os.path.relpath, named))
        raise ConfigurationError(f"More than one pipeline is named '{target}': {places}. Give the file's path.")
    return named[0] if named else None


def _nothing_named(target: str, config: LoomConfig, registered: Iterable[str]) -> NotFound:
    return nothing_named(target, {entry.name for entry in entries(config)} | set(registered))


def nothing_named(target: str, known: set[str]) -> NotFound:
    """Return the error for a name that no pipeline has, with the nearest name that one has."""
    near = difflib.get_close_matches(target, known, n=1, cutoff=0.5)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    names = f"Known: {', '.join(sorted(known))}." if known else "This project has none yet: `loom init NAME` makes one."
    return NotFound(f"There is no pipeline named '{target}'.{hint} {names}")


def _looks_like_one(text: str) -> bool:
    """Tell whether a text has the keys of a pipeline, without the time that reading it as YAML takes."""
    return all(key.search(text) for key in _KEYS[_IN_BRACES.match(text) is not None])


def _files(config: LoomConfig) -> Iterator[Path]:
    for folder in config.pipelines:
        for pattern in ("*", "*/*"):
            for path in sorted((config.project / folder).glob(pattern)):
                hidden = any(part.startswith(".") for part in path.relative_to(config.project / folder).parts)
                if path.suffix in _SUFFIXES and not hidden and path.is_file():
                    yield path


def strange_names(config: LoomConfig, besides: Iterable[str] = ()) -> list[Problem]:
    """Return a mistake for each name in the targets of `loom.yaml` that no pipeline of the project has, nor any of
    `besides`: what is said of it would never be heeded."""
    said = [(target, name) for target, each in config.targets.items() for name in each.pipelines if name not in besides]
    if not said:
        return []
    known = {entry.name for entry in entries(config)} | set(besides)
    expected = f"a pipeline of this project: {', '.join(sorted(known))}" if known else "a pipeline; there is none yet"
    return [
        config.problem(("targets", target, "pipelines", name), f"'{name}'", expected, closest(name, known))
        for target, name in said
        if name not in known
    ]


@lru_cache(maxsize=500)
def _parsed(text: str, path: str) -> Mapping[str, Any]:
    """Return what the text of a file says. Raises `InvalidDefinition`. A server is asked for the pipelines again and
    again, and their files are mostly as they were."""
    parsed: Mapping[str, Any] = yaml_positions.parse(text, path).data
    return parsed


def _entry(path: Path, config: LoomConfig) -> Entry | None:
    try:
        text = yaml_positions.read_text(path, str(path))
        if not _looks_like_one(text):
            return None
        data = config.rendered(_parsed(text, str(path)))
    except InvalidDefinition:
        return None
    if not isinstance(data.get("name"), str) or "extract" not in data:
        return None
    extract, load = data.get("extract"), data.get("load")
    return Entry(
        data["name"],
        str(data.get("version", "1.0.0")),
        str(data.get("description") or ""),
        path,
        depends_on=names_in(data.get("depends_on")),
        spawn=names_in(data.get("spawn")),
        source=None if said(extract, "query") is not None else _text(said(extract, "source")),
        destination=_text(said(load, "destination")),
    )


def names_in(written: object) -> tuple[str, ...]:
    """Return the names that a `depends_on` or a `spawn` has, as far as it can be read."""
    listed = [written] if isinstance(written, str) else written if isinstance(written, list) else []
    return tuple(name for name in listed if isinstance(name, str))


def _text(written: object) -> str | None:
    return written if isinstance(written, str) else None
