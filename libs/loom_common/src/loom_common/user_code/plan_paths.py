"""Sees that a pipeline's folder, and the modules that it names in it, lie in the project."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loom_common.allowed_paths import AllowedPaths
from loom_common.domain.definition.transforms.ai import AiTransformConfig
from loom_common.domain.definition.transforms.scorer import ScorerTransformConfig
from loom_common.domain.definition.transforms.transform import TransformConfig
from loom_common.domain.model_options.scorers import is_onnx
from loom_common.domain.run.plan import Plan
from loom_common.domain.steps.views import by_step
from loom_common.user_code.functions import file_beside

if TYPE_CHECKING:
    from loom_common.config.settings import Settings

_REFERENCE = re.compile(r"(?:python:)?([^\W\d][\w.-]*):[^\W\d]\w*")


def see_that_it_stays(plan: Plan, settings: Settings) -> None:
    """See that a plan's folder is one of this process's project, or allowed, and so are its modules.

    Whoever starts a run in his own process names its folder by naming its file. To a worker of a cluster it comes by
    message, from whoever may ask for runs. Raises `PathNotAllowed`."""
    folder = settings.project_dir / plan.base
    if settings.embedded:
        paths = AllowedPaths.of(*settings.allowed, folder)
    else:
        paths = AllowedPaths.of(*settings.allowed)
        paths.real(folder)
    for module in modules_in(plan.pipeline.model_dump(mode="json")):
        see_module(module, folder, paths)
    for _, alone in by_step(plan.pipeline):
        if (file := _model_file(alone.transform)) is not None:
            paths.real(folder / file)


def _model_file(transform: TransformConfig) -> str | None:
    """Return the file of the model that a transform, or the cheap tier of its cascade, runs."""
    scorer = None
    if isinstance(transform, ScorerTransformConfig):
        scorer = transform.scorer
    elif isinstance(transform, AiTransformConfig) and transform.cascade is not None:
        scorer = transform.cascade.cheap.scorer
    return scorer if is_onnx(scorer) else None


def see_module(module: str, folder: Path, paths: AllowedPaths) -> None:
    """See that a module which lies beside the pipeline is no link to another place. Raises `PathNotAllowed`."""
    if (file := file_beside(folder, module)) is not None:
        paths.real(file)


def modules_in(written: Any) -> Iterator[str]:
    """Yield the modules of all `module:name` in a definition."""
    match written:
        case str():
            if (found := _REFERENCE.fullmatch(written)) is not None:
                yield found[1]
        case Mapping() | list():
            for each in written.values() if isinstance(written, Mapping) else written:
                yield from modules_in(each)
