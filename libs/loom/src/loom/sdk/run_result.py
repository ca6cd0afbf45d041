"""Gives what a run came to to Python code."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from loom.frames.results import CollectedRows
from loom.sdk.spawned import SpawnedRun
from loom_common.contracts.v1 import RunReport
from loom_common.domain.quality.fail_on import passed
from loom_common.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class RunResult:
    """Says what a run came to. `report` has everything `loom run --format json` prints."""

    report: RunReport
    rows: CollectedRows | None = None
    """The rows of a run that was told to `collect` them."""
    spawned: tuple[SpawnedRun, ...] = ()
    """Says what became of the runs that it has spawned (`spawn`), in their order; empty on a cluster, which starts them
    by itself."""

    @property
    def run_id(self) -> str:
        """Return the run's id, for `loom status`, `loom resume` and `loom quarantine retry`."""
        return self.report.run_id

    @property
    def status(self) -> str:
        """Return the status: `succeeded`, `partial`, `failed` or `cancelled`."""
        return self.report.status

    @property
    def records_processed(self) -> int:
        """Return the number of records that were extracted."""
        return self.report.records["extracted"]

    @property
    def records_validated(self) -> int:
        """Return the number of records that passed their gate."""
        return self.report.records["passed"]

    @property
    def beyond_limits(self) -> list[str]:
        """Return the limits of the pipeline's `fail_on` that the run is beyond, each in words."""
        return passed(self.report.fail_on, self.report.records)

    @property
    def cost_total(self) -> float:
        """Return the cost in USD."""
        return self.report.cost["total"]

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield the rows that the run loaded, as dicts. Raises `ConfigurationError` where they were not collected."""
        return self._collected().records()

    def to_arrow(self, types: dict[str, str] | None = None) -> Any:
        """Return the rows as an Arrow table; `types` names types of columns: `{"price": "decimal(12,2)"}`. Others get
        one that holds each of their values exactly. Raises as `records` does."""
        return self._collected().to_arrow(types)

    def to_pandas(self, types: dict[str, str] | None = None) -> Any:
        """Return the rows as a pandas frame of Arrow's types. Raises as `records` does."""
        return self._collected().to_pandas(types)

    def to_polars(self, types: dict[str, str] | None = None) -> Any:
        """Return the rows as a polars frame. Raises as `records` does."""
        return self._collected().to_polars(types)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        """Return the report as notebooks show it: with plots, or in one line where there is no HTML."""
        from loom.display.run_report import run_html, run_text

        return {"text/html": run_html(self.report), "text/plain": run_text(self.report)}

    def _collected(self) -> CollectedRows:
        if self.rows is None:
            raise ConfigurationError(
                f"The rows of run {self.run_id} are in {self.report.destination}: read them there, or run the pipeline "
                "with `collect=True`."
            )
        return self.rows
