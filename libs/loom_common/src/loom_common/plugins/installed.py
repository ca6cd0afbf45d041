"""Lists what the installed packages offer, by their metadata alone: nothing is imported."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from loom_common.plugins.kinds import Kind

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


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


def remedy(package: str) -> str:
    """Say what a person does about a package that does not serve."""
    return f"Install another version of it where Loom runs: pip install --upgrade {package}"
