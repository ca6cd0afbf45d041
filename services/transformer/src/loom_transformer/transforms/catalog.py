"""Chooses which transform a plan means."""

from __future__ import annotations

from pathlib import Path

from loom_ai.answers.shape import Shape
from loom_ai.journal.models import JournalledModels
from loom_common.domain.checks.calibrator import calibrator_of
from loom_common.domain.definition.output import TEXT
from loom_common.domain.definition.transform import (
    AiTransformConfig,
    PassthroughTransformConfig,
    PluginTransform,
    PythonTransformConfig,
    ScorerTransformConfig,
    TransformConfig,
)
from loom_common.domain.run.plan import Plan
from loom_common.domain.values.durations import seconds
from loom_common.errors import PermanentError
from loom_common.user_code.threads import Threads
from loom_transformer.outcome import Transform
from loom_transformer.transforms.ai import AiTransform
from loom_transformer.transforms.calibrated import Calibrated
from loom_transformer.transforms.local import Bounds
from loom_transformer.transforms.passthrough import Passthrough
from loom_transformer.transforms.python import plugin_transform, python_transform
from loom_transformer.transforms.scorer import Scorers, scorer_transform


class Catalog:
    """Makes transforms. What is costly to load (scorers) or shared (models) is the worker's, not the plan's."""

    def __init__(self, models: JournalledModels, project: Path, threads: Threads | None = None) -> None:
        self._models = models
        self._project = project
        self._scorers = Scorers()
        self._threads = threads or Threads()

    def transform_of(self, plan: Plan) -> Transform | None:
        """Return the plan's transform; None where it has nothing to do. Blocks while it imports user code. Raises
        `PermanentError`, `UserCodeError`."""
        made, name = self._made(plan), plan.pipeline.transform.calibration
        return made if made is None or name is None else Calibrated(made, calibrator_of(plan, name))

    def _made(self, plan: Plan) -> Transform | None:
        config, folder = plan.pipeline.transform, self._project / plan.base
        shape = None if config.shape is None else Shape(config.shape)
        _see_that_it_fits(config, shape)
        bounds = Bounds(self._threads, seconds(plan.pipeline.timeouts.record))
        match config:
            case AiTransformConfig():
                shape = None if config.output == TEXT else shape
                return AiTransform(plan, config, self._models, shape, self._threads, folder)
            case ScorerTransformConfig(scorer=scorer):
                return scorer_transform(scorer, config.field, self._scorers.get(scorer, folder), shape, bounds)
            case PythonTransformConfig():
                return python_transform(config.function, folder, shape, bounds)
            case PassthroughTransformConfig():
                return None if shape is None and config.schema_ is None else Passthrough(shape)
            case PluginTransform():
                return plugin_transform(config, shape, bounds)


def _see_that_it_fits(config: TransformConfig, shape: Shape | None) -> None:
    """A fixed output that does not fit would be loaded unseen. Raises `PermanentError`."""
    value = config.fallback.value if config.fallback else None
    if value is not None and shape is not None and (misfit := shape.misfit(value)) is not None:
        raise PermanentError(f"`transform.fallback.value` does not fit the declared `output` ({misfit}).")
