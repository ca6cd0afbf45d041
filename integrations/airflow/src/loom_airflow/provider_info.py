"""Tells Airflow what is in this provider."""

from __future__ import annotations

from typing import Any


def get_provider_info() -> dict[str, Any]:
    """Return what Airflow's providers manager reads."""
    return {
        "package-name": "loom-pipelines-airflow",
        "name": "Loom",
        "description": "Runs Loom's AI pipelines.",
        "connection-types": [{"connection-type": "loom", "hook-class-name": "loom_airflow.hooks.LoomHook"}],
    }
