"""Reads the addresses of the cluster that `make up` started on this machine."""

from __future__ import annotations

from pathlib import Path

ADDRESSES = Path(".loom/cluster/env")
"""Is where `make up` writes them, below the project folder, and where `make down` removes them."""


def local_cluster(project: Path) -> dict[str, str]:
    """Return the addresses as environment variables, for the cluster of this project; none where it does not run."""
    path = project / ADDRESSES
    if not path.is_file():
        return {}
    lines = (line.strip().removeprefix("export ") for line in path.read_text(encoding="utf-8").splitlines())
    pairs = (line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    return {key.strip(): value.strip().strip("'\"") for key, value in pairs}
