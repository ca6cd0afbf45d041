"""Runs pipelines of a project that lies where the worker is, by Loom itself. Knows nothing of Airflow.

An embedded project runs in the worker's own process; the runs of one with `mode: distributed` are carried out by its
cluster, which is told by the bus."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

NEEDED = (
    "A task with `loom_config_path` runs Loom in the worker, which does not have it. Install "
    "`loom-pipelines-airflow[embedded]` there, or run the pipeline over Loom's API, by a connection."
)


class NoLoom(Exception):
    """Loom is not installed here."""


class LoomProject:
    """Represents the project of a `loom.yaml`."""

    def __init__(self, config_path: str, target: str | None = None) -> None:
        """Take the path of a `loom.yaml`, or of the folder that it lies in. Raises `NoLoom`."""
        try:
            import loom
        except ImportError as error:
            raise NoLoom(NEEDED) from error
        path = Path(config_path).expanduser()
        self._loom = loom.SyncLoom(path / "loom.yaml" if path.is_dir() else path, target=target)

    def version_of(self, pipeline: str) -> str:
        """Return the version of a pipeline's file."""
        return str(self._loom.load_pipeline(pipeline).version)

    def run(
        self, pipeline: str, options: Mapping[str, Any], key: str, parent: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Run a pipeline to its end, or go on with the run of the same `key`, and return its report. `parent` names the
        task as `lineage.lineage_parent_of` does."""
        given = {name: options[name] for name in ("sample", "load", "reuse", "budget") if name in options}
        result = self._loom.run(pipeline, options.get("params"), idempotency_key=key, lineage_parent=parent, **given)
        return self.report(result.run_id)

    def report(self, run_id: str) -> dict[str, Any]:
        """Return the report of a run, as far as it has come. Raises `LookupError` where it is not known."""
        found = self._loom.get_status(run_id)
        if found is None:
            raise LookupError(f"Run {run_id} is not known in this project.")
        return dict(found)

    def newest(self, pipeline: str, since: str | None) -> dict[str, Any] | None:
        """Return the newest run of a pipeline that began at `since` or later; None without one."""
        import datetime as dt

        for run in self._loom.history(pipeline, 1):
            if since is None or run.started_at >= dt.datetime.fromisoformat(since):
                return {"run_id": run.run_id, "status": run.status}
        return None
