"""Tells whether a source of files of this machine reads a file, in whichever way the two are written."""

from __future__ import annotations

import fnmatch
import glob
import os
import re
from collections.abc import Sequence
from pathlib import Path

from loom_connectors.storage.local import pattern, resolved


def reads(written: str, folder: Path, target: Path) -> bool:
    """Whether a source of files reads `target`, or will once it is there."""
    literal = resolved(written, folder)
    if literal.is_dir():
        return Path(os.path.realpath(target)).is_relative_to(os.path.realpath(literal))
    if not glob.has_magic(written) or literal.exists():
        return same_file(literal, target)
    wanted = pattern(written, folder)
    if any(same_file(Path(each), target) for each in glob.iglob(wanted, recursive=True)):  # noqa: PTH207  # as a source does
        return True
    parts = Path(os.path.normpath(wanted)).parts
    fixed = next((at for at, part in enumerate(parts) if glob.has_magic(_unescaped(part))), len(parts))
    real = Path(os.path.realpath(Path(*map(_unescaped, parts[:fixed]))))
    names = Path(os.path.realpath(target)).parts
    beside = Path(os.path.normpath(target)).parts
    return any(
        each[: len(start)] == start and _matches(parts[fixed:], each[len(start) :])
        for each, start in ((names, real.parts), (beside, tuple(map(_unescaped, parts[:fixed]))))
    )


def _unescaped(part: str) -> str:
    return re.sub(r"\[([*?[])\]", r"\1", part) if not glob.has_magic(re.sub(r"\[[*?[]\]", "", part)) else part


def _matches(parts: Sequence[str], names: Sequence[str]) -> bool:
    """Tell whether a path matches a pattern, as `glob` has it: `**` is any number of folders, hidden ones left out."""
    if not parts:
        return not names
    if parts[0] == "**":
        return _matches(parts[1:], names) or bool(names and not names[0].startswith(".") and _matches(parts, names[1:]))
    if not names or (names[0].startswith(".") and not parts[0].startswith(".")):
        return False
    return fnmatch.fnmatchcase(names[0], parts[0]) and _matches(parts[1:], names[1:])


def same_file(one: Path, other: Path) -> bool:
    """Tell whether two paths lead to one file, through links of either kind."""
    one, other = (Path(os.path.realpath(each)) for each in (one, other))
    try:
        return one.samefile(other)
    except OSError:
        return one == other
