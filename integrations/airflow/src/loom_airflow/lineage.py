"""Names a task as Airflow's OpenLineage provider does, so that a run's events have it as their parent."""

from __future__ import annotations

from typing import Any


def lineage_parent_of(ti: Any) -> dict[str, str] | None:
    """Return how lineage knows a task instance, and the DAG run that it belongs to; None where Airflow tells nobody of
    lineage."""
    try:
        from airflow.providers.openlineage import conf
        from airflow.providers.openlineage.plugins import macros
    except ImportError:
        return None
    if conf.is_disabled():
        return None
    return {"run": macros.lineage_parent_id(ti), "root": macros.lineage_root_parent_id(ti)}
