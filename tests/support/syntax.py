"""Finds the Python sources of this repository, and the statements in them."""

from __future__ import annotations

import ast
import contextlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from support.documents import ROOT

_FOLDERS = ("libs/*/src", "services/*/src", "migrations/src", "dev/src", "tests", "bench", "examples")


@lru_cache(maxsize=1)
def source_paths() -> tuple[Path, ...]:
    """Return the path of every source, from the root of the repository."""
    folders = (folder for pattern in _FOLDERS for folder in ROOT.glob(pattern))
    return tuple(path.relative_to(ROOT) for folder in folders for path in sorted(folder.rglob("*.py")))


def parsed(source: str) -> ast.Module:
    """Return the module that `source` is. CPython 3.11 counts for the whole process how deep a parser is in a tree, and
    gives up by `SystemError` where a collection or another thread was in one meanwhile (gh-106905)."""
    for _ in range(5):
        with contextlib.suppress(SystemError):
            return ast.parse(source)
    return ast.parse(source)


def statements(path: Path) -> Iterator[ast.AST]:
    """Yield the module and all its statements. What expressions consist of, most of the tree, is not looked at."""
    waiting: list[ast.AST] = [parsed((ROOT / path).read_text("utf-8"))]
    while waiting:
        node = waiting.pop()
        yield node
        for name in ("body", "orelse", "finalbody", "handlers", "cases"):
            inner = getattr(node, name, None)
            if isinstance(inner, list):
                waiting += inner
