"""Offers Loom to Python code: AI pipelines as declarative, testable, observable data pipelines.

    from loom import Loom
    loom = Loom()
    result = await loom.run_pipeline(loom.load_pipeline("pipeline.yaml"))

Names are loaded when they are first used: importing `loom` costs next to nothing."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loom.api import Loom, Pipeline, RunResult
    from loom.connectors import DataConnector, register_connector
    from loom.plugins import (
        PluginEvaluator,
        PluginGate,
        PluginTransform,
        register_check,
        register_credentials,
        register_evaluator,
        register_format,
        register_provider,
        register_scorer,
        register_storage,
        register_transform,
    )
    from loom.quality_gates import QualityGate, register_quality_gate
    from loom_common.domain.definition.evaluation import EvaluateConfig
    from loom_common.domain.definition.pipeline import ExtractConfig, LoadConfig
    from loom_common.domain.definition.transform import (
        AiTransformConfig,
        PassthroughTransformConfig,
        PythonTransformConfig,
        ScorerTransformConfig,
        TransformConfig,
    )
    from loom_common.errors import LoomError

    __version__: str
    """The version of Loom that is installed."""

_HOME = {
    "Loom": "loom.api",
    "Pipeline": "loom.api",
    "RunResult": "loom.api",
    "DataConnector": "loom.connectors",
    "register_connector": "loom.connectors",
    "PluginEvaluator": "loom.plugins",
    "PluginGate": "loom.plugins",
    "PluginTransform": "loom.plugins",
    "register_credentials": "loom.plugins",
    "register_check": "loom.plugins",
    "register_provider": "loom.plugins",
    "register_transform": "loom.plugins",
    "register_evaluator": "loom.plugins",
    "register_format": "loom.plugins",
    "register_storage": "loom.plugins",
    "register_scorer": "loom.plugins",
    "QualityGate": "loom.quality_gates",
    "register_quality_gate": "loom.quality_gates",
    "EvaluateConfig": "loom_common.domain.definition.evaluation",
    "ExtractConfig": "loom_common.domain.definition.pipeline",
    "LoadConfig": "loom_common.domain.definition.pipeline",
    "AiTransformConfig": "loom_common.domain.definition.transform",
    "PassthroughTransformConfig": "loom_common.domain.definition.transform",
    "PythonTransformConfig": "loom_common.domain.definition.transform",
    "ScorerTransformConfig": "loom_common.domain.definition.transform",
    "TransformConfig": "loom_common.domain.definition.transform",
    "LoomError": "loom_common.errors",
}

__all__ = [
    "AiTransformConfig",
    "DataConnector",
    "EvaluateConfig",
    "ExtractConfig",
    "LoadConfig",
    "Loom",
    "LoomError",
    "PassthroughTransformConfig",
    "Pipeline",
    "PluginEvaluator",
    "PluginGate",
    "PluginTransform",
    "PythonTransformConfig",
    "QualityGate",
    "RunResult",
    "ScorerTransformConfig",
    "TransformConfig",
    "__version__",
    "register_check",
    "register_connector",
    "register_credentials",
    "register_evaluator",
    "register_format",
    "register_provider",
    "register_quality_gate",
    "register_scorer",
    "register_storage",
    "register_transform",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("loom-pipelines")
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'loom' has no attribute '{name}'")
