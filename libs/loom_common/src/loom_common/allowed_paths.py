"""Keeps the paths that a pipeline names within its project.

Every path of a definition is held against the same folders, where the file is about to be opened and where the
pipeline is validated: those of sources, destinations, prompts, context files, modules and `${file:...}`. Links are
followed first, so that a link in the project that leads out of it is refused too."""

from __future__ import annotations

import os
import shlex
import socket
from dataclasses import dataclass
from pathlib import Path

from loom_common.errors import PathNotAllowed

VARIABLE = "LOOM_ALLOWED_PATHS"
MOUNTED = Path("/run/secrets")
"""Holds the folder where Docker mounts secrets."""


@dataclass(frozen=True, slots=True)
class AllowedPaths:
    """Holds the folders and files that a pipeline may reach."""

    roots: tuple[Path, ...]
    """The first one is the project's folder. Links in their own paths are followed."""

    @staticmethod
    def of(*roots: Path) -> AllowedPaths:
        """Return the folders and files `roots`, and what lies below them."""
        return AllowedPaths(tuple(dict.fromkeys(Path(os.path.realpath(root)) for root in roots)))

    def real(self, path: Path) -> Path:
        """Return what a path leads to once its links are followed, be it there or not. Raises `PathNotAllowed`."""
        try:
            real = Path(os.path.realpath(path))
        except ValueError:  # NUL
            raise PathNotAllowed(f"{str(path)!r} is no path: it holds a NUL.") from None
        if any(real.is_relative_to(root) for root in self.roots):
            return real
        absolute = os.path.abspath(path)  # noqa: PTH100  # without `..`, and with its links
        leads = "lies" if str(real) == absolute else f"leads to {real},"
        raise PathNotAllowed(
            f"{absolute} on {socket.gethostname()} {leads} outside of the project {self.roots[0]}. A pipeline reaches "
            f"no such file: copy it into the project, or allow its folder by `allowed_paths` in loom.yaml, by "
            f"`--allow-path {shlex.quote(str(real.parent))}`, or by {VARIABLE} of the process that opens the file."
        )


def listed(text: str) -> tuple[Path, ...]:
    """Return the paths of a list as environment variables have it: `/data:/mnt/shared`."""
    return tuple(Path(each) for each in text.split(os.pathsep) if each)
