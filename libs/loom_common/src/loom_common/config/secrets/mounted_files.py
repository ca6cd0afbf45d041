"""Finds the secrets that `${file:...}` refers to."""

from __future__ import annotations

from pathlib import Path


class FileProvider:
    """Finds secrets in files that hold one each, as Docker and Kubernetes mount them: `${file:/run/secrets/db}`."""

    remedy = "Put the secret into the file {name} where the worker runs."

    def get(self, name: str) -> str | None:
        path = Path(name)
        return path.read_text(encoding="utf-8").strip() if path.is_file() else None
