"""Tells the build of the one wheel its version and its dependencies, which are those of the packages in it.

Hatchling calls `CustomMetadataHook` (pyproject.toml). The packages keep a pyproject.toml of their own, where a
dependency is named once, beside the code that needs it."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

BASE = ("libs/*", "migrations", *(f"services/{name}" for name in (
    "coordinator", "evaluator", "extractor", "loader", "quarantine", "transformer",
)))  # fmt: skip
"""The packages that every installation can run."""
API = "services/api"
"""The package of `loom serve`. It is in the wheel; what it needs is the extra `serve`."""
TOGETHER: Mapping[str, tuple[str, ...]] = {
    "s3": ("objects",),
    "ai": ("arbiter", "embeddings", "onnx", "providers"),
    "cluster": ("serve", "oidc", "tracing"),
}
"""Extras that are other extras, by a name that says what they are for."""


class CustomMetadataHook(MetadataHookInterface):
    """Fills in what pyproject.toml leaves open."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Add the version, the dependencies and the extras."""
        root = Path(self.root)
        base = [_project(file) for pattern in BASE for file in sorted(root.glob(f"{pattern}/pyproject.toml"))]
        api = _project(root / API / "pyproject.toml")
        (metadata["version"],) = {each["version"] for each in (*base, api)}
        metadata["dependencies"] = merged(line for each in base for line in each["dependencies"])
        extras: dict[str, list[str]] = {"serve": merged(api["dependencies"])}
        for project in (*base, api):
            for name, lines in project.get("optional-dependencies", {}).items():
                if name not in extras:
                    extras[name] = merged(lines)
        for name, others in TOGETHER.items():
            extras[name] = merged(line for other in others for line in extras[other])
        extras["all"] = merged(line for lines in extras.values() for line in lines)
        metadata["optional-dependencies"] = dict(sorted(extras.items()))


def merged(lines: Iterable[str]) -> list[str]:
    """Return one requirement for each package, with the bounds of all, and none for the packages of this tree."""
    found: dict[tuple[str, tuple[str, ...], str], Requirement] = {}
    for requirement in map(Requirement, lines):
        name = canonicalize_name(requirement.name)
        if name == "loom-pipelines" or name in OWN:
            continue
        key = (name, tuple(sorted(requirement.extras)), str(requirement.marker or ""))
        if key in found:
            requirement.specifier &= found[key].specifier
        found[key] = requirement
    return sorted(str(each) for each in found.values())


OWN = {f"loom-{name}" for name in (
    "ai", "api", "common", "connectors", "coordinator", "evaluator", "extractor", "loader", "migrations", "quarantine",
    "transformer",
)}  # fmt: skip


def _project(file: Path) -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
    return project
