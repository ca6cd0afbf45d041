"""Defines the tables of run state. The names and columns that users query are those of docs/architecture.md; the
migrations build them.

Whoever imports any of these modules imports all of them, so that `metadata` has every table and the foreign keys
between modules are resolved."""

from __future__ import annotations

from loom_coordinator.db.tables import (
    access,
    incremental,
    labels,
    monitoring,
    outcomes,
    quality,
    requests,
    rescoring,
    runs,
    schemas,
    streams,
    work,
)
from loom_coordinator.db.tables.columns import metadata

__all__ = [
    "access",
    "incremental",
    "labels",
    "metadata",
    "monitoring",
    "outcomes",
    "quality",
    "requests",
    "rescoring",
    "runs",
    "schemas",
    "streams",
    "work",
]
