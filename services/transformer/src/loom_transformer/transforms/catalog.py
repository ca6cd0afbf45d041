"""Which transform a plan means."""

from __future__ import annotations

from pathlib import Path

from loom_ai.journal import JournalledModels
from loom_ai.shape import Shape
from loom_common.domain.plan import Plan
from loom_transformer.outcome import Transform
from loom_transformer.transforms.ai import AiTransform
from loom_transformer.transforms.passthrough import Passthrough
from loom_transformer.transforms.python import python_transform
from loom_transformer.transforms.scorer import Scorers, scorer_transform


class Catalog:
    """Makes transforms. What is costly to load (scorers) or shared (models) is the worker's, not the plan's."""

    def __init__(self, models: JournalledModels, project: Path) -> None:
        self._models = models
        self._project = project
        self._scorers = Scorers()

    def transform_of(self, plan: Plan) -> Transform:
        """The plan's transform. Blocks while it imports user code. Raises `PermanentError`, `UserCodeError`."""
        config, folder = plan.pipeline.transform, self._project / plan.base
        shape = Shape(config.output) if config.output else None
        match config.type:
            case "ai":
                return AiTransform(plan, self._models, shape)
            case "scorer":
                scorer, field = config.scorer or "", config.field or ""
                return scorer_transform(scorer, field, self._scorers.get(scorer, folder), shape)
            case "python":
                return python_transform(config.function or "", folder, shape)
            case "passthrough":
                return Passthrough(shape)
