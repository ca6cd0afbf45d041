"""Finds the secrets that `${file:...}` refers to."""

from __future__ import annotations

from pathlib import Path

from loom_common.allowed_paths import MOUNTED, AllowedPaths


class FileProvider:
    """Finds secrets in files that hold one each, as Docker and Kubernetes mount them: `${file:/run/secrets/db}`."""

    def __init__(self, folder: Path = Path(), *allowed: Path) -> None:
        self._folder = folder
        self._paths = AllowedPaths.of(folder, *allowed, MOUNTED)

    remedy = "Put the secret into the file {name}; in a cluster, where the workers run."

    def get(self, name: str) -> str | None:
        """Return the content of a file, whose relative path starts at the project's folder. Raises `PathNotAllowed`."""
        path = self._paths.real(self._folder / name)
        return path.read_text(encoding="utf-8").strip() if path.is_file() else None
