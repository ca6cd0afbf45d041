"""Lists the third-party dependencies of this workspace's packages.

`python -m loom_dev.requirements libs/* services/*` prints them, for the locks (`make lock`). With `--check LOCK` first
it prints nothing, and fails where the lock lacks one of them."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

BUILD = ("editables>=0.5", "hatchling>=1.27", "packaging<26")
"""Lets installing the packages download nothing more, where these are in the lock. A dependency of Arbiter, an extra
that only the developer's lock has, accepts no newer `packaging`, and the two locks must agree."""

OWN = re.compile(r"loom-[a-z]+")
PINNED = re.compile(r"^([\w.-]+)==([^\s;]+)", re.MULTILINE)


def dependencies(folders: Iterable[str]) -> list[str]:
    """Return each requirement of the packages in `folders` once, sorted, as their pyproject.toml has it."""
    files = (Path(folder, "pyproject.toml") for folder in folders)
    projects = [tomllib.loads(file.read_text(encoding="utf-8"))["project"] for file in files]
    named = {line for project in projects for line in project["dependencies"] if not OWN.fullmatch(line)}
    return sorted({*named, *BUILD})


def unmet(needed: Iterable[str], lock: str) -> list[str]:
    """Return those of `needed` that the lock does not pin, or pins to a version that they do not accept."""
    pinned = {canonicalize_name(name): version for name, version in PINNED.findall(lock)}
    return [line for line in needed if not _accepts(Requirement(line), pinned)]


def _accepts(requirement: Requirement, pinned: Mapping[NormalizedName, str]) -> bool:
    version = pinned.get(canonicalize_name(requirement.name))
    return version is not None and requirement.specifier.contains(version, prereleases=True)


def main(arguments: list[str]) -> int:
    if arguments[:1] != ["--check"]:
        print("\n".join(dependencies(arguments)))
        return 0
    lock, *folders = arguments[1:]
    missing = unmet(dependencies(folders), Path(lock).read_text(encoding="utf-8"))
    for line in missing:
        print(f"{lock}: does not hold {line}. Run `make lock`.", file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
