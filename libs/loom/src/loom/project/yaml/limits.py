"""Checks how large and how deep a YAML file is and what text it holds, before anything is made of it.

A few lines of aliases can stand for a billion values, and a text for what no message or database holds."""

from __future__ import annotations

from collections.abc import Iterator

from ruamel.yaml import YAML
from ruamel.yaml.composer import MaxDepthExceededError
from ruamel.yaml.error import StreamMark
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from loom_common.errors import InvalidDefinition, Problem
from loom_common.text import paired, storable

LARGEST = 100_000
"""The number of values of a file, each counted as often as aliases repeat it."""
DEEPEST = 100
"""The number of levels of lists and mappings within each other."""


def composed(text: str, file: str) -> Node | None:
    """Return the file's nodes. Raises `InvalidDefinition` where they are too many, too deep or hold what cannot be
    stored, and what the parser raises."""
    yaml = YAML(typ="safe", pure=True)
    yaml.max_depth = DEEPEST  # the time that the parser takes for each further level grows with the depth
    try:
        root: Node | None = yaml.compose(text)
    except MaxDepthExceededError as error:
        raise InvalidDefinition([_too_deep(file, error.problem_mark)]) from None
    if root is not None:
        _Count(file).of(root, DEEPEST)
        scalars = list(_scalars(root, set()))
        for node in scalars:
            node.value = paired(node.value)
        if problems := [problem for node in scalars if (problem := _unfit(node, file)) is not None]:
            raise InvalidDefinition(problems)
    return root


class _Count:
    """Counts the values that a node stands for, each node once."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._known: dict[int, int] = {}
        self._above: set[int] = set()

    def of(self, node: Node, depth: int) -> int:
        """Raises `InvalidDefinition`. A node within itself counts as nothing here: it has an error of its own."""
        if id(node) in self._above:
            return 0
        if id(node) not in self._known:
            if depth <= 0:
                raise InvalidDefinition([_too_deep(self._file, node.start_mark)])
            self._above.add(id(node))
            size = 1 + sum(self.of(inner, depth - 1) for inner in _inner(node))
            self._above.discard(id(node))
            if size > LARGEST:
                expected = f"at most {LARGEST:,}, each counted as often as an alias repeats it"
                raise InvalidDefinition([_placed(node.start_mark, self._file, f"{size:,} values", expected)])
            self._known[id(node)] = size
        return self._known[id(node)]


def _inner(node: Node) -> Iterator[Node]:
    if isinstance(node, MappingNode):
        for pair in node.value:
            yield from pair
    elif isinstance(node, SequenceNode):
        yield from node.value


def _scalars(node: Node, seen: set[int]) -> Iterator[ScalarNode]:
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, ScalarNode):
        yield node
    for inner in _inner(node):
        yield from _scalars(inner, seen)


def _unfit(node: ScalarNode, file: str) -> Problem | None:
    if storable(node.value) != node.value:
        return _placed(
            node.start_mark, file, "a character that is no text: NUL, or half a surrogate pair", "text in UTF-8"
        )
    return None


def _too_deep(file: str, mark: StreamMark) -> Problem:
    return _placed(mark, file, "lists and mappings nested too deeply", f"at most {DEEPEST} levels of them")


def _placed(mark: StreamMark, file: str, found: str, expected: str) -> Problem:
    return Problem((), found, expected, None, file, mark.line + 1, mark.column + 1)
