"""Reads YAML with the place of every key, so that a mistake can be shown where it was written."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from ruamel.yaml import YAML
from ruamel.yaml.constructor import ConstructorError
from ruamel.yaml.error import ReusedAnchorWarning, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from loom.project.yaml.limits import composed
from loom.project.yaml.syntax import reused_anchors, syntax_problem
from loom_common.domain.json_values.kinds import kind_of
from loom_common.errors import InvalidDefinition, Problem

KeyPath = tuple[str | int, ...]
V = TypeVar("V")
Place = tuple[int, int]
"""Line and column, both 1-based, as editors count them."""


@dataclass(frozen=True, slots=True)
class Document:
    """Holds a YAML file as plain data, and tells where each of its keys stands."""

    file: str
    """Is empty for what was written in Python: nothing of it has a place."""
    data: dict[str, Any]
    places: dict[KeyPath, Place]
    bodies: dict[KeyPath, ScalarNode] = field(default_factory=dict)
    """Every value that is a text, as it is written."""
    elsewhere: dict[KeyPath, KeyPath] = field(default_factory=dict)
    """Holds the key of another file by the key here, for what that file says in the place of this one."""
    other: Document | None = None
    """Is that other file, the project's `loom.yaml`."""
    problems: tuple[Problem, ...] = ()
    """Mistakes in what that file says of this one."""

    def locate(self, path: KeyPath) -> tuple[str | None, int | None, int | None]:
        """Tell where `path` stands; for a key that was left out, where its section stands."""
        if not self.file:
            return None, None, None
        if (moved := self._moved(path)) is not None and self.other is not None:
            return self.other.locate(moved)
        for length in range(len(path), 0, -1):
            if place := self.places.get(path[:length]):
                return self.file, *place
        return self.file, 1, 1

    def locate_in(self, path: KeyPath, line: int, column: int | None) -> tuple[str | None, int | None, int | None]:
        """Tell where a line and column (1-based) of the text at `path` stand in the file, else where its key stands."""
        if (moved := self._moved(path)) is not None and self.other is not None:
            return self.other.locate_in(moved, line, column)
        node = self.bodies.get(path)
        if node is None or node.start_mark.line is None:
            return self.locate(path)
        first, start = node.start_mark.line + 1, node.start_mark.column + 1
        if node.style == "|":
            indent = _indent_of_block(node)
            return self.file, first + line, indent + (column or 1)
        if line > 1 or node.end_mark.line > node.start_mark.line or column is None:
            return self.locate(path)
        return self.file, first, start + column - 1 + (node.style in ("'", '"'))

    def seen_from(self, place: KeyPath) -> Document:
        """Return the document in which the section at `place` stands where its first key leads, as the only one."""
        top, size = place[:1], len(place)

        def moved(found: Mapping[KeyPath, V]) -> dict[KeyPath, V]:
            kept = {path: value for path, value in found.items() if path[:1] != top}
            inside = {(*top, *path[size:]): value for path, value in found.items() if path[:size] == place}
            return {**kept, **inside}

        return replace(self, places=moved(self.places), bodies=moved(self.bodies), elsewhere=moved(self.elsewhere))

    def _moved(self, path: KeyPath) -> KeyPath | None:
        """Return the key of the other file that says what stands at `path`; None where this file says it."""
        for length in range(len(path), 0, -1):
            if (there := self.elsewhere.get(path[:length])) is not None:
                return (*there, *path[length:])
        return None

    def problem(self, path: KeyPath, found: str, expected: str, suggestion: str | None = None) -> Problem:
        """Return a mistake at `path`."""
        file, line, column = self.locate(path)
        return Problem(path, found, expected, suggestion, file, line, column)


def read_text(path: Path, shown: str) -> str:
    """Return the text of a file. Raises `InvalidDefinition` where it is missing, unreadable or not UTF-8."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        found = f"the byte 0x{error.object[error.start]:02x}"
        raise InvalidDefinition([Problem((), found, "text in UTF-8", file=shown, line=line)]) from None
    except OSError as error:
        problem = Problem((), (error.strerror or str(error)).lower(), "a file that can be read", file=shown)
        raise InvalidDefinition([problem]) from None


def parse(text: str, file: str, *, may_be_empty: bool = False) -> Document:
    """Read YAML 1.2. `file` is how it is named in mistakes.

    Raises `InvalidDefinition` for bad syntax, and for every key that stands twice."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ReusedAnchorWarning)  # it is told below, with its place
            root = composed(text, file)
            places, twice, bodies = _walk(root)
            wrong = [_twice(path, place, places[path], file) for path, place in twice]
            if wrong := [*wrong, *reused_anchors(text, file)]:
                raise InvalidDefinition(wrong)
            data = None if root is None else YAML(typ="safe", pure=True).constructor.construct_document(root)
    except (YAMLError, ValueError) as error:
        raise InvalidDefinition([syntax_problem(error, text, file)]) from None
    if data is None and may_be_empty:
        data = {}
    if not isinstance(data, dict):
        found = "an empty file" if data is None else kind_of(data)
        raise InvalidDefinition([Problem((), found, "keys and values: `name: ...`", file=file, line=1, column=1)])
    return Document(file, data, places, bodies)


def _walk(root: Node | None) -> tuple[dict[KeyPath, Place], list[tuple[KeyPath, Place]], dict[KeyPath, ScalarNode]]:
    """Collect the place of every key and list item, every key met a second time, and the texts that are values."""
    places: dict[KeyPath, Place] = {}
    merged: dict[KeyPath, Place] = {}
    bodies: dict[KeyPath, ScalarNode] = {}
    twice: list[tuple[KeyPath, Place]] = []
    for path, node, is_merged in _children(root, (), frozenset()):
        place = (node.start_mark.line + 1, node.start_mark.column + 1)
        if is_merged:
            merged.setdefault(path, place)
        elif path in places:
            twice.append((path, place))
        else:
            places[path] = place
    for path, node in _texts(root, (), frozenset()):
        bodies.setdefault(path, node)
    return {**merged, **places}, twice, bodies


def _children(
    node: Node | None, at: KeyPath, above: frozenset[int], *, merged: bool = False
) -> Iterator[tuple[KeyPath, Node, bool]]:
    """Yield every key and item below `node`: its path, its node, and whether it is there because a section was merged
    in."""
    if id(node) in above:
        mark = node.start_mark if node is not None else None
        raise ConstructorError(problem="an alias that contains itself", problem_mark=mark)
    within = above | {id(node)}
    if isinstance(node, MappingNode):
        for key, value in node.value:
            if _is_merge(key):
                for each in value.value if isinstance(value, SequenceNode) else [value]:
                    yield from _children(each, at, within, merged=True)
                continue
            path = (*at, _name(key))
            yield path, key, merged
            yield from _children(value, path, within, merged=merged)
    elif isinstance(node, SequenceNode):
        for position, item in enumerate(node.value):
            yield (*at, position), item, merged
            yield from _children(item, (*at, position), within, merged=merged)


def _texts(node: Node | None, at: KeyPath, above: frozenset[int]) -> Iterator[tuple[KeyPath, ScalarNode]]:
    if id(node) in above:
        return
    within = above | {id(node)}
    if isinstance(node, ScalarNode):
        yield at, node
    elif isinstance(node, MappingNode):
        for key, value in node.value:
            yield from _texts(value, at if _is_merge(key) else (*at, _name(key)), within)
    elif isinstance(node, SequenceNode):
        for position, item in enumerate(node.value):
            yield from _texts(item, (*at, position), within)


def _is_merge(key: Node) -> bool:
    return isinstance(key, ScalarNode) and str(key.tag).endswith(":merge")


def _name(key: Node) -> str | int:
    """Return a key as the data has it, where that is a text or a whole number."""
    if isinstance(key, ScalarNode):
        is_number = str(key.tag).endswith(":int") and key.value.lstrip("-+").isdigit()
        return int(key.value) if is_number else str(key.value)
    return str(key.value)


def _indent_of_block(node: ScalarNode) -> int:
    """Return how far the lines of a `|` text are indented."""
    written = str(node.start_mark.buffer)[node.start_mark.index :].split("\n")[1:]
    first = next((line for line in written if line.strip()), "")
    return len(first) - len(first.lstrip(" "))


def _twice(path: KeyPath, place: Place, first: Place, file: str) -> Problem:
    found = f"the key `{path[-1]}` a second time"
    return Problem(path, found, f"each key once (first on line {first[0]})", None, file, *place)
