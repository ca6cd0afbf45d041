"""Finds the sensitive fields of a record. A dotted name stands for a field of an object, or of every object of a
list."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

_LEAF: dict[str, Any] = {}
"""Marks the end of a name: the field is sensitive with all that it holds."""

Change = Callable[[str, Any], Any]
"""Returns what takes the place of a value, which it is given with its path: dotted names, without positions of
lists."""


class SensitiveFields:
    """Represents the fields of a pipeline that are sensitive."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._tree: dict[str, Any] = {}
        for name in names:
            branch, (*before, last) = self._tree, name.split(".")
            for part in before:
                branch = branch.setdefault(part, {})
                if branch is _LEAF:  # the whole object is sensitive already
                    break
            else:
                branch[last] = _LEAF
        for name in names:  # a field whose own name has a dot
            self._tree.setdefault(name, _LEAF)

    def __bool__(self) -> bool:
        return bool(self.names)

    def concern(self, name: str) -> bool:
        """Tell whether a field of a record is sensitive, or holds one that is."""
        return name in self._tree

    def changed(self, data: Mapping[str, Any], change: Change, other: Change | None = None) -> dict[str, Any]:
        """Return a record whose sensitive values are changed, and whose other texts are changed by `other`."""
        return {name: _changed(each, self._tree.get(name), name, change, other) for name, each in data.items()}

    def values(self, data: Mapping[str, Any]) -> Iterator[Any]:
        """Yield every sensitive value of a record that is no object and no list."""
        found: list[Any] = []
        self.changed(data, lambda _, value: found.append(value))
        for value in found:
            yield from leaves(value)

    def without(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Return a record with null for every sensitive value."""
        return self.changed(data, lambda _, __: None)


def _changed(value: Any, branch: dict[str, Any] | None, path: str, change: Change, other: Change | None) -> Any:
    if branch is _LEAF:
        return change(path, value)
    if isinstance(value, dict) and (branch or other is not None):
        return {
            name: _changed(each, branch.get(name) if branch else None, f"{path}.{name}", change, other)
            for name, each in value.items()
        }
    if isinstance(value, list) and (branch or other is not None):
        return [_changed(each, branch, path, change, other) for each in value]
    return value if other is None or not isinstance(value, str) else other(path, value)


def every_text(value: Any, change: Change, path: str = "") -> Any:
    """Return a value of JSON whose texts and numbers are all changed."""
    if isinstance(value, Mapping):
        return {name: every_text(each, change, f"{path}.{name}" if path else name) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [every_text(each, change, path) for each in value]
    return value if value is None or isinstance(value, bool) else change(path, value)


def leaves(value: Any) -> Iterator[Any]:
    """Yield every value of JSON within another that is no object and no list."""
    if isinstance(value, Mapping):
        for each in value.values():
            yield from leaves(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from leaves(each)
    else:
        yield value
