"""Finds the SQLAlchemy dialect of a store's database, whose `insert` knows ON CONFLICT."""

from __future__ import annotations

import importlib
from types import ModuleType

from loom_common.async_engine import AsyncEngine


def dialect_of(engine: AsyncEngine) -> ModuleType:
    """Return `sqlalchemy.dialects.sqlite` or `sqlalchemy.dialects.postgresql`. The other one is not imported: that of
    Postgres takes a tenth of a second."""
    return importlib.import_module(f"sqlalchemy.dialects.{engine.dialect.name}")
