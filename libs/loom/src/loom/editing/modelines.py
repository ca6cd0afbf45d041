"""Writes the line by which an editor's language server finds the schema of a YAML file, and the schemas themselves."""

from __future__ import annotations

import json
import os
from pathlib import Path

FOLDER = "schemas"
"""The folder of a project that holds them."""
PIPELINE, CONFIG = "pipeline.json", "loom.json"


def of_pipeline(folder: Path, root: Path) -> str:
    """Return the first line of a pipeline file in a folder, for a project whose root is `root`."""
    path = Path(os.path.relpath(root.resolve() / FOLDER / PIPELINE, folder.resolve())).as_posix()
    return f"# yaml-language-server: $schema={path}\n"


def write_schemas(root: Path) -> None:
    """Write the schemas into a project, in the place of those that are there."""
    from loom.editing import json_schema

    (root / FOLDER).mkdir(parents=True, exist_ok=True)
    for name, schema in ((PIPELINE, json_schema.of_pipeline()), (CONFIG, json_schema.of_config())):
        (root / FOLDER / name).write_text(json.dumps(schema, indent=1) + "\n", encoding="utf-8")
