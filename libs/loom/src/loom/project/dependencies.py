"""Tells which pipelines of a project come after which, by `depends_on`, by `spawn`, and by what one writes and another
reads."""

from __future__ import annotations

import graphlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from loom.project import catalog
from loom.project.catalog import Entry
from loom.project.config import LoomConfig
from loom.project.yaml_positions import Document
from loom_common.domain.json_values.shown import Shown
from loom_common.domain.section import said
from loom_common.domain.values.near import closest
from loom_common.domain.values.urls import redacted
from loom_common.errors import ConfigurationError, Problem
from loom_connectors.overlaps import feeds
from loom_connectors.ports.context import ConnectorContext

DEPENDS_ON = "depends_on"
SPAWN = "spawn"


@dataclass(frozen=True, slots=True)
class Link:
    """Says that a pipeline comes before another one, and why."""

    above: str
    below: str
    why: str
    """`depends_on`, `spawn`, or what the one writes and the other reads."""


@dataclass(frozen=True, slots=True)
class Related(Shown):
    """Describes a pipeline above or below another one."""

    direction: str
    """`upstream` or `downstream`."""
    steps: int
    """Counts the links on the shortest way to it; 1 is next to it."""
    pipeline: str
    by: str
    """Names the pipeline on that way which is next to it, and why the two are linked."""


def declared(entries: Iterable[Entry]) -> list[Link]:
    """Return the links that `depends_on` and `spawn` say, in the order of their names."""
    found = set[Link]()
    for entry in entries:
        found |= {Link(parent, entry.name, DEPENDS_ON) for parent in entry.depends_on}
        found |= {Link(entry.name, child, SPAWN) for child in entry.spawn}
    return sorted(found, key=lambda link: (link.above, link.below, link.why))


def read_from_each_other(entries: Iterable[Entry], config: LoomConfig) -> list[Link]:
    """Return a link for each destination that is exactly another pipeline's source."""
    contexts = [(entry, ConnectorContext(entry.path.resolve().parent, config.secrets)) for entry in entries]
    return [
        Link(writer.name, reader.name, redacted(writer.destination))
        for writer, written_from in contexts
        for reader, read_from in contexts
        if writer.name != reader.name
        and writer.destination is not None
        and reader.source is not None
        and feeds(writer.destination, written_from, reader.source, read_from)
    ]


def below_in_order(name: str, links: Iterable[Link]) -> list[str]:
    """Return every pipeline below one, each after all that are above it. Raises `ConfigurationError` for a circle."""
    links = list(links)
    wanted = {name, *(each.pipeline for each in related(name, links, "downstream"))}
    above: dict[str, list[str]] = {each: [] for each in sorted(wanted)}
    for link in links:
        if link.above in wanted and link.below in wanted:
            above[link.below].append(link.above)
    try:
        return [each for each in graphlib.TopologicalSorter(above).static_order() if each != name]
    except graphlib.CycleError as error:
        circle = " -> ".join(error.args[1])
        raise ConfigurationError(
            f"The pipelines depend on each other in a circle: {circle}. `loom validate` says in which lines."
        ) from None


def related(name: str, links: Iterable[Link], direction: str) -> list[Related]:
    """Return every pipeline `upstream` or `downstream` of one, the nearest first."""
    links = list(links)
    found: dict[str, Related] = {}
    edge, steps = [name], 0
    while edge:
        steps += 1
        following = []
        for near in edge:
            for link in links:
                here, there = (link.above, link.below) if direction == "downstream" else (link.below, link.above)
                if here == near and there not in found and there != name:
                    found[there] = Related(direction, steps, there, f"{near}: {link.why}")
                    following.append(there)
        edge = following
    return list(found.values())


def problems(document: Document, definition: Mapping[str, Any], config: LoomConfig) -> list[Problem]:
    """Return what is wrong with the `depends_on` and the `spawn` of a file: names of no pipeline, and circles."""
    name = said(definition, "name")
    if not isinstance(name, str):
        return []
    entries = catalog.entries(config)
    known = {entry.name for entry in entries} | {name}
    own = {key: catalog.names_in(said(definition, key)) for key in (DEPENDS_ON, SPAWN)}
    links = [link for link in declared(entries) if name not in _writer(link)]
    links += [Link(parent, name, DEPENDS_ON) for parent in own[DEPENDS_ON]]
    links += [Link(name, child, SPAWN) for child in own[SPAWN]]
    found = []
    for key, names in own.items():
        for at, other in enumerate(names):
            path = (key,) if isinstance(said(definition, key), str) else (key, at)
            if other not in known:
                there = ", ".join(sorted(known - {name})) or "it has no other"
                words = f"the name of a pipeline of this project: {there}"
                found.append(document.problem(path, repr(other), words, closest(other, known - {name})))
                continue
            above, below = (other, name) if key == DEPENDS_ON else (name, other)
            rest = [link for link in links if link.why != key or (link.above, link.below) != (above, below)]
            if (circle := _circle(below, above, rest)) is not None:
                words = f"a pipeline that does not depend on this one ({' -> '.join(circle)} is a circle)"
                found.append(document.problem(path, repr(other), words))
    return found


def _writer(link: Link) -> tuple[str, ...]:
    """Return the pipeline in whose file a link is written."""
    return (link.below,) if link.why == DEPENDS_ON else (link.above,)


def _circle(name: str, parent: str, links: Iterable[Link]) -> list[str] | None:
    """Return the way from a pipeline down to itself that begins where it depends on `parent`; None where there is
    none."""
    if parent == name:
        return [name, name]
    links = list(links)
    ways, seen = [[name]], {name}
    while ways:
        way = ways.pop(0)
        for link in links:
            if link.above != way[-1] or link.below in seen:
                continue
            if link.below == parent:
                return [*way, parent, name]
            seen.add(link.below)
            ways.append([*way, link.below])
    return None
