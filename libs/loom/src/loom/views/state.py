"""Holds what every view of run state asks by."""

from __future__ import annotations

from loom.project.config import LoomConfig
from loom.project.engines import alive
from loom_common.async_engine import AsyncEngine


class StateViews:
    """Holds the state database, and knows which embedded engines of the project still run."""

    def __init__(self, engine: AsyncEngine, config: LoomConfig) -> None:
        self._engine = engine
        self._config = config

    @property
    def engine(self) -> AsyncEngine:
        """Return the engine of the state database."""
        return self._engine

    def _alive(self, owner: str) -> bool:
        return alive(self._config.project, owner)
