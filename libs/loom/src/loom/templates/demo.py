"""Finds the example that `loom demo` runs: in the package, where Loom was installed as a wheel, or in the checkout."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from loom.templates import text_of
from loom_common.errors import ConfigurationError

_LEFT_OUT = frozenset({"results", ".loom", "__pycache__"})
"""Names what runs leave in the example's folder in a checkout."""


def write_demo(folder: Path) -> None:
    """Write the example's files into a folder, and a `loom.yaml` that makes it a project. Raises `ConfigurationError`
    where this installation has no example."""
    for path, entry in _walk(_example(), ""):
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(entry.read_bytes())
    (folder / "loom.yaml").write_text(text_of("project/loom.yaml"), encoding="utf-8")


def _example() -> Traversable:
    package = files("loom")
    shipped = package.joinpath("demo_project")
    if shipped.is_dir():
        return shipped
    in_checkout = Path(str(package)).parents[3] / "examples/customer_sentiment"
    if in_checkout.is_dir():
        return in_checkout
    raise ConfigurationError("This installation of Loom has no example: it is in the wheel, and in the checkout.")


def _walk(folder: Traversable, above: str) -> Iterator[tuple[str, Traversable]]:
    for entry in sorted(folder.iterdir(), key=lambda one: one.name):
        if entry.name in _LEFT_OUT:
            continue
        if entry.is_dir():
            yield from _walk(entry, f"{above}{entry.name}/")
        else:
            yield f"{above}{entry.name}", entry
