"""Contains what `loom init` and `loom config init` write: the files of these folders, with the pipeline's name put
in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable

NAME = "my_pipeline"
"""Says what the pipeline is called in a template."""
EXAMPLE = "# OPENAI_API_KEY=\n"
"""Stands in the example of a project's secrets where its pipeline names none."""


def text_of(name: str) -> str:
    """Return a file of this folder."""
    return files(__name__).joinpath(name).read_text(encoding="utf-8")


def template(name: str, pipeline: str) -> Iterator[tuple[str, str]]:
    """Yield the files of a template: (relative path, text)."""
    for path, entry in _walk(files(__name__).joinpath(name), ""):
        yield path, entry.read_text(encoding="utf-8").replace(NAME, pipeline)


def project(pipeline: str, variables: Sequence[str] = ()) -> Iterator[tuple[str, str]]:
    """Yield the files that make a folder a project, of which that pipeline is the first: (name, text). The example of
    its secrets has the `variables` that the pipeline names."""
    for name, file in PROJECT_FILES.items():
        text = text_of(f"project/{name}").replace(NAME, pipeline)
        yield file, text.replace(EXAMPLE, "".join(f"{each}=\n" for each in variables) or EXAMPLE)


PROJECT_FILES = {
    "loom.yaml": "loom.yaml",
    "gitignore": ".gitignore",
    "env.example": ".env.example",
    "README.md": "README.md",
}
"""Names each file of a project in the folder `project`, and as it is written."""


def _walk(folder: Traversable, above: str) -> Iterator[tuple[str, Traversable]]:
    for entry in sorted(folder.iterdir(), key=lambda one: one.name):
        if entry.is_dir() and entry.name != "__pycache__":
            yield from _walk(entry, f"{above}{entry.name}/")
        elif entry.is_file():
            yield above + entry.name, entry
