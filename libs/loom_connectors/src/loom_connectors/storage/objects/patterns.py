"""Says which objects a location names: one, those that match a pattern, or those below a folder."""

from __future__ import annotations

import re

_MAGIC = re.compile(r"[*\[]")


def names_several(key: str) -> bool:
    """Tell whether it is a pattern, or a folder."""
    return _MAGIC.search(key) is not None or key.endswith("/")


def folder_of(key: str) -> str:
    """Return the folder that everything a pattern matches lies in, with its slash; empty for the bucket itself."""
    magic = _MAGIC.search(key)
    return key[: magic.start() if magic else len(key)].rpartition("/")[0] + "/" if "/" in key else ""


def pattern_of(key: str) -> re.Pattern[str]:
    """Return what matches as `glob` does: `*` within one folder, `**/` any number of them; a folder, all below it."""
    written = f"{key}**/*" if key.endswith("/") else key
    tokens = re.split(r"(\*\*/|\*\*|\*|\[[^\]]+\])", written)
    known = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*"}
    parts = [
        known.get(token) or (f"[{token[1:-1].replace('!', '^', 1)}]" if token[:1] == "[" else re.escape(token))
        for token in tokens
    ]
    return re.compile("".join(parts), re.DOTALL)


def is_read(key: str, location: str) -> bool:
    """Tell whether a source with a location's key reads an object, or would where it is there."""
    if key == location or not names_several(location):
        return key == location
    return pattern_of(location).fullmatch(key) is not None and not is_hidden(key.removeprefix(folder_of(location)))


def is_hidden(path: str) -> bool:
    """Leave out what begins with a point or an underscore, as `_SUCCESS`, and what Loom keeps beside a result."""
    *folders, name = path.split("/")
    return name == "" or name[0] in "._" or any(each[:1] == "." or each.endswith(".loom") for each in folders)
