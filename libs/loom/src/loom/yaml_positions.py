"""YAML with the place of every key, so that a mistake can be shown where it was written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import ConstructorError
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from loom_common.errors import InvalidDefinition, Problem

KeyPath = tuple[str | int, ...]
Place = tuple[int, int]
"""Line and column, both 1-based, as editors count them."""

_REMEDIES = {
    "mapping values are not allowed": "one `key: value` a line; text with a colon in it needs quotes",
    "cannot start any token": "quotes around text that begins with this character",
    "unhashable key": "quotes around text that begins with a brace",
}
"""What usually helps, by the parser's own words for what it met."""


@dataclass(frozen=True, slots=True)
class Document:
    """A YAML file as plain data, and where each of its keys stands."""

    file: str
    data: dict[str, Any]
    places: dict[KeyPath, Place]

    def locate(self, path: KeyPath) -> tuple[str | None, int | None, int | None]:
        """Where `path` stands; for a key that was left out, where its section stands."""
        for length in range(len(path), 0, -1):
            if place := self.places.get(path[:length]):
                return self.file, *place
        return self.file, 1, 1

    def problem(self, path: KeyPath, found: str, expected: str, suggestion: str | None = None) -> Problem:
        """A mistake at `path`."""
        file, line, column = self.locate(path)
        return Problem(path, found, expected, suggestion, file, line, column)


def read_text(path: Path, shown: str) -> str:
    """The text of a file. Raises `InvalidDefinition` where it is missing, unreadable or not UTF-8."""
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
    yaml = YAML(typ="safe", pure=True)
    try:
        root = yaml.compose(text)
        places, twice = _walk(root)
        if twice:
            raise InvalidDefinition([_twice(path, place, places[path], file) for path, place in twice])
        data = YAML(typ="safe", pure=True).load(text)
    except (YAMLError, ValueError) as error:
        raise InvalidDefinition([_syntax(error, text, file)]) from None
    if data is None and may_be_empty:
        data = {}
    if not isinstance(data, dict):
        found = "an empty file" if data is None else f"a {type(data).__name__}"
        raise InvalidDefinition([Problem((), found, "keys and values: `name: ...`", file=file, line=1, column=1)])
    return Document(file, data, places)


def _walk(root: Node | None) -> tuple[dict[KeyPath, Place], list[tuple[KeyPath, Place]]]:
    """The place of every key and list item, and every key met a second time."""
    places: dict[KeyPath, Place] = {}
    twice: list[tuple[KeyPath, Place]] = []
    for path, node in _children(root, (), frozenset()):
        place = (node.start_mark.line + 1, node.start_mark.column + 1)
        if path in places:
            twice.append((path, place))
        else:
            places[path] = place
    return places, twice


def _children(node: Node | None, at: KeyPath, above: frozenset[int]) -> Iterator[tuple[KeyPath, Node]]:
    if id(node) in above:
        mark = node.start_mark if node is not None else None
        raise ConstructorError(problem="an alias that contains itself", problem_mark=mark)
    within = above | {id(node)}
    if isinstance(node, MappingNode):
        for key, value in node.value:
            if isinstance(key, ScalarNode) and str(key.tag).endswith(":merge"):
                continue
            path = (*at, key.value if isinstance(key, ScalarNode) else str(key.value))
            yield path, key
            yield from _children(value, path, within)
    elif isinstance(node, SequenceNode):
        for position, item in enumerate(node.value):
            yield (*at, position), item
            yield from _children(item, (*at, position), within)


def _twice(path: KeyPath, place: Place, first: Place, file: str) -> Problem:
    found = f"the key `{path[-1]}` a second time"
    return Problem(path, found, f"each key once (first on line {first[0]})", None, file, *place)


def _syntax(error: Exception, text: str, file: str) -> Problem:
    if isinstance(error, ReaderError):
        place = text.count("\n", 0, error.position) + 1
        return Problem((), f"the character {chr(error.character)!r}", "printable text", file=file, line=place)
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    line: int | None = mark.line + 1 if mark else None
    column: int | None = mark.column + 1 if mark else None
    what = (error.problem or error.context or "bad syntax") if isinstance(error, MarkedYAMLError) else str(error)
    if line is not None and "\t" in _indent_of(text, line):
        return Problem((), "a tab", "spaces: YAML is not indented by tabs", file=file, line=line, column=column)
    expected = next((remedy for words, remedy in _REMEDIES.items() if words in what), "valid YAML")
    return Problem((), what.removeprefix("but ").removeprefix("found "), expected, file=file, line=line, column=column)


def _indent_of(text: str, line: int) -> str:
    lines = text.splitlines()
    written = lines[line - 1] if line <= len(lines) else ""
    return written[: len(written) - len(written.lstrip())]
