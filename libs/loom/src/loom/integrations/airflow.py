"""Offers the provider for Apache Airflow under Loom's own name: `from loom.integrations.airflow import
LoomPipelineOperator`. It is a distribution of its own, `loom-pipelines-airflow`."""

from __future__ import annotations

import importlib
from typing import Any


def __getattr__(name: str) -> Any:
    try:
        provider = importlib.import_module("loom_airflow")
    except ModuleNotFoundError as error:
        raise ImportError(
            "The provider for Airflow is not installed here. Install loom-pipelines-airflow beside Airflow: see "
            "docs/orchestrators.md."
        ) from error
    return getattr(provider, name)
