"""Offers Loom an engine that carries out runs as flow runs of Prefect: `engine: prefect` in loom.yaml.

Prefect itself takes a second to import. Nothing here does so before the engine is opened."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from loom.project.config import LoomConfig
from loom.session import Opening, RunEngine

LOOM_PLUGIN_API = 1


def prefect(config: LoomConfig, opening: Opening) -> AbstractAsyncContextManager[RunEngine]:
    """Open the engine on the server that Prefect's own settings name. Raises `ConfigurationError` where they name
    none, and `DependencyUnavailable` where it does not answer."""
    from loom_prefect.engine import opened

    return opened(config, opening)
