"""Lists what the installed packages offer, by their metadata alone: nothing is imported."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from loom_common.plugins.kinds import Kind

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

DISTRIBUTION = "loom-pipelines"
"""The name under which Loom is installed, and by which a package says which versions of Loom it is for."""


@dataclass(frozen=True, slots=True)
class Offered:
    """Describes a plugin that an installed package offers by an entry point."""

    kind: Kind
    name: str
    package: str
    version: str
    entry_point: EntryPoint

    def __str__(self) -> str:
        return f"the {self.kind} '{self.name}' of the package {self.package} {self.version}"


@lru_cache(maxsize=1)
def offered() -> tuple[Offered, ...]:
    """List every plugin of every installed package, by kind and name. Read once in a process: what is installed later
    is found by the next one."""
    # Reading the metadata of all packages takes tens of milliseconds, and most runs need none of it.
    from importlib.metadata import entry_points

    every = entry_points()  # each call reads the metadata of all packages anew
    found = [
        Offered(
            kind, point.name, point.dist.name if point.dist else "", point.dist.version if point.dist else "", point
        )
        for kind in Kind
        for point in every.select(group=kind.group)
    ]
    return tuple(sorted(found, key=lambda each: (list(Kind).index(each.kind), each.name, each.package)))


def offers(kind: Kind, name: str) -> list[Offered]:
    """Return the packages that offer a plugin of that kind and name."""
    return [each for each in offered() if (each.kind, each.name) == (kind, name)]


def refused_version(plugin: Offered) -> str | None:
    """Say which versions of Loom the package of a plugin requires in its metadata, where the one that is installed is
    none of them; return None where it is, or the package does not say. An installer has seen to that, unless Loom was
    installed later, or the package without its dependencies."""
    from importlib.metadata import PackageNotFoundError, version

    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    for written in (plugin.entry_point.dist.requires if plugin.entry_point.dist else None) or ():
        try:
            requirement, installed = Requirement(written), version(DISTRIBUTION)
        except (InvalidRequirement, PackageNotFoundError):
            continue
        is_loom = canonicalize_name(requirement.name) == DISTRIBUTION
        applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if is_loom and applies and not requirement.specifier.contains(installed, prereleases=True):
            return f"Loom {requirement.specifier}, and this is Loom {installed}"
    return None


def remedy(package: str) -> str:
    """Say what a person does about a package that does not serve."""
    return f"Install another version of it where Loom runs: pip install --upgrade {package}"
