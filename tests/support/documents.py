"""Reads the documents as data: their snippets, links and the names they mention."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *ROOT.glob("docs/*.md"),
        *ROOT.glob("docs/how-to/*.md"),
        *ROOT.glob("docs/performance/*.md"),
        *ROOT.glob("examples/**/README.md"),
    ]
)
"""Says what users read. The ADRs speak of what was, not of what is."""
_FENCE = re.compile(r"^(?P<indent> *)```(?P<kind>\w*)\n(?P<body>.*?)^ *```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Snippet:
    """Represents a fenced block."""

    page: Path
    line: int
    kind: str
    """Says what stands behind the fence: `yaml`, `bash`; empty for commands and output."""
    body: str

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


def snippets(*kinds: str) -> list[Snippet]:
    """Return every block of these kinds, of every page."""
    return [each for page in PAGES for each in of_page(page) if each.kind in kinds]


def of_page(page: Path) -> Iterator[Snippet]:
    text = page.read_text(encoding="utf-8")
    for found in _FENCE.finditer(text):
        indent = found["indent"]
        body = "".join(line.removeprefix(indent) for line in found["body"].splitlines(keepends=True))
        yield Snippet(page, text.count("\n", 0, found.start()) + 1, found["kind"], body)


def prose(page: Path) -> str:
    """Return a page without its blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def in_code(page: Path) -> list[str]:
    """Return what stands between single backticks in the prose."""
    return [" ".join(each.split()) for each in re.findall(r"`([^`]+)`", prose(page))]


def typed(program: str) -> list[tuple[str, str]]:
    """Return every command of `program` in a block: (where, command)."""
    found = []
    for snippet in snippets("", "bash"):
        lines = re.sub(r"\\\n\s*", "", snippet.body).splitlines()
        bare = (re.sub(r"\s{2,}.*$|\s+#.*$", "", line.strip().removeprefix("$ ")) for line in lines)
        found += [(str(snippet), line) for line in bare]
    return _of(program, found)


def mentioned(program: str) -> list[tuple[str, str]]:
    """Return every command of `program` in the prose, maybe without its arguments: (where, command)."""
    return _of(program, [(page.name, each) for page in PAGES for each in in_code(page)])


def _of(program: str, commands: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the commands that could be typed: those that show a choice (`show|export`), or leave something out, are
    none."""
    return [
        (where, command)
        for where, command in commands
        if re.match(rf"{program}( |$)", command) and not re.search(r"[|\[\]<>*]|\.\.\.", command)
    ]
