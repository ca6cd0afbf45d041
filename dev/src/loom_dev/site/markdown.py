"""Writes GitHub's Markdown so that the site's renderer, which knows fewer forms of lists, reads the same."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

_ITEM = re.compile(r"^(?P<indent> *)(?P<mark>[-*]|\d+\.)(?P<gap> +)\S")
_FENCE = re.compile(r"^ *(`{3,}|~{3,})")
_LINK = re.compile(r"(?P<picture>!?)\[(?P<text>(?:\\.|[^\[\]])*)\]\((?P<target>[^)\s]+)\)")
_WIDTH = 4
"""The spaces by which the renderer knows what belongs to an item of a list."""


def with_lists(text: str) -> str:
    """Return a text whose lists have a blank line before them, and stand deeper by four spaces at each level."""
    return "\n".join(_lines(text.split("\n")))


def _lines(lines: list[str]) -> Iterator[str]:
    levels: list[int] = []
    before, fence = "", ""
    for line in lines:
        stripped = line.lstrip(" ")
        indent = len(line) - len(stripped)
        item = None if fence else _ITEM.match(line)
        in_list = bool(levels)
        if stripped and not fence:
            while levels and indent < levels[-1]:
                levels.pop()
            if item is None and indent == 0:
                levels.clear()
        if item is not None and not in_list and before.strip():
            yield ""
        shift = _WIDTH * len(levels) - (levels[-1] if levels else 0)
        yield " " * max(0, shift) + line if stripped else line
        if item is not None:
            levels.append(indent + len(item["mark"]) + len(item["gap"]))
        if (found := _FENCE.match(line)) is not None:
            fence = "" if fence and stripped.startswith(fence) else fence or found[1]
        before = line


def with_links(text: str, place: Callable[[str], str | None]) -> str:
    """Return a text whose links lead where `place` says; one that it knows no place for becomes its words. Blocks of
    code stay as they are."""

    def linked(found: re.Match[str]) -> str:
        target = found["target"]
        if "://" in target or target.startswith(("#", "mailto:")):
            return found[0]
        path, hash_sign, anchor = target.partition("#")
        at = place(path)
        return found["text"] if at is None else f"{found['picture']}[{found['text']}]({at}{hash_sign}{anchor})"

    parts = re.split(r"(^ *```.*?^ *```$)", text, flags=re.MULTILINE | re.DOTALL)
    return "".join(part if at % 2 else _LINK.sub(linked, part) for at, part in enumerate(parts))
