"""Runs Loom's pipelines as tasks of Apache Airflow: `from loom_airflow import LoomPipelineOperator`.

Names are loaded when they are first used, so that what decides can be tested without Airflow."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loom_airflow.hooks import LoomHook
    from loom_airflow.operators import LoomPipelineOperator
    from loom_airflow.sensors import LoomRunSensor
    from loom_airflow.triggers import LoomRunTrigger

__version__ = "0.2.0"
__all__ = ["LoomHook", "LoomPipelineOperator", "LoomRunSensor", "LoomRunTrigger"]

_HOME = {
    "LoomHook": "hooks",
    "LoomPipelineOperator": "operators",
    "LoomRunSensor": "sensors",
    "LoomRunTrigger": "triggers",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"loom_airflow.{_HOME[name]}"), name)
    raise AttributeError(f"module 'loom_airflow' has no attribute '{name}'")
