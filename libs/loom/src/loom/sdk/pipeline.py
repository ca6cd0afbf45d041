"""Represents a pipeline to Python code."""

from pathlib import Path
from typing import Any

from pydantic import PrivateAttr

from loom.sdk.own_errors import OwnErrors
from loom_common.domain.definition import pipeline as domain

_IN_PYTHON = "pipeline.py"
"""Stands for the file of a pipeline that was built in Python."""


class Pipeline(OwnErrors, domain.Pipeline):
    """Represents a pipeline, loaded from a file or built in Python. Relative paths start at the file's folder, else
    here. Where a file names a function, an evaluator, a gate or a connector, its object may stand. Raises
    `InvalidDefinition` with every mistake."""

    _path: Path = PrivateAttr(default_factory=lambda: Path.cwd() / _IN_PYTHON)
    _of_file: bool = PrivateAttr(default=False)

    @property
    def folder(self) -> Path:
        """Return the folder where relative paths of the pipeline start."""
        return self._path.parent

    def _repr_html_(self) -> str:
        """Return a drawing of the pipeline, which notebooks show."""
        from loom.display.pipeline_graph import pipeline_svg

        return pipeline_svg(self)

    def definition(self) -> dict[str, Any]:
        """Return the pipeline as its file would say it."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True)
