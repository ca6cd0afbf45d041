"""Offers Loom to Python code: AI pipelines as declarative, testable, observable data pipelines.

    from loom import Loom
    loom = Loom()
    result = await loom.run_pipeline(loom.load_pipeline("pipeline.yaml"))

and, where code is not asynchronous, `loom.run("pipeline.yaml")`, or all of it by `SyncLoom`.

Names are loaded when they are first used: importing `loom` costs next to nothing."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loom.api import Loom
    from loom.connectors import DataConnector, register_connector
    from loom.offered.steps import register_step
    from loom.plain.sync_loom import SyncLoom, run, stream
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
    from loom.sdk.pipeline import Pipeline
    from loom.sdk.run_result import RunResult
    from loom.sdk.sections import (
        AiTransformConfig,
        EvaluateConfig,
        ExtractConfig,
        LoadConfig,
        PassthroughTransformConfig,
        PythonTransformConfig,
        ScorerTransformConfig,
    )
    from loom.streaming.settled import Record
    from loom_common.domain.definition.transforms.transform import TransformConfig
    from loom_common.domain.steps.registered.step import pipeline_step
    from loom_common.errors import InvalidDefinition, LoomError

    __version__: str
    """The version of Loom that is installed."""

_HOME = {
    "Loom": "loom.api",
    "Pipeline": "loom.sdk.pipeline",
    "RunResult": "loom.sdk.run_result",
    "SyncLoom": "loom.plain.sync_loom",
    "run": "loom.plain.sync_loom",
    "stream": "loom.plain.sync_loom",
    "Record": "loom.streaming.settled",
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
    "register_step": "loom.offered.steps",
    "pipeline_step": "loom_common.domain.steps.registered.step",
    "QualityGate": "loom.quality_gates",
    "register_quality_gate": "loom.quality_gates",
    "EvaluateConfig": "loom.sdk.sections",
    "ExtractConfig": "loom.sdk.sections",
    "LoadConfig": "loom.sdk.sections",
    "AiTransformConfig": "loom.sdk.sections",
    "PassthroughTransformConfig": "loom.sdk.sections",
    "PythonTransformConfig": "loom.sdk.sections",
    "ScorerTransformConfig": "loom.sdk.sections",
    "TransformConfig": "loom_common.domain.definition.transforms.transform",
    "InvalidDefinition": "loom_common.errors",
    "LoomError": "loom_common.errors",
}

__all__ = [
    "AiTransformConfig",
    "DataConnector",
    "EvaluateConfig",
    "ExtractConfig",
    "InvalidDefinition",
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
    "Record",
    "RunResult",
    "ScorerTransformConfig",
    "SyncLoom",
    "TransformConfig",
    "__version__",
    "pipeline_step",
    "register_check",
    "register_connector",
    "register_credentials",
    "register_evaluator",
    "register_format",
    "register_provider",
    "register_quality_gate",
    "register_scorer",
    "register_step",
    "register_storage",
    "register_transform",
    "run",
    "stream",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("loom-pipelines")
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'loom' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*__all__, *globals()})
