"""Decides where a run puts the rows that it gives back to Python, and brings those that a cluster loaded here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from loom.frames.results import CollectedRows
from loom.project.config import LoomConfig
from loom_common.contracts.v1 import RunReport
from loom_common.domain.definition.pipeline import Pipeline
from loom_common.domain.values.plural import counted
from loom_common.domain.values.stored_records import new_rows_owner
from loom_common.errors import PermanentError
from loom_common.ports.payloads import PayloadStore
from loom_common.sealing.keyring import Keyring
from loom_common.sealing.payloads import SealedPayloads
from loom_common.service.bootstrap import open_payloads
from loom_connectors.given.kept import gather

_FOLDER = Path(".loom/results")


@dataclass(frozen=True, slots=True)
class Collecting:
    """Represents the place of the rows of one run, which takes that of the pipeline's destination."""

    config: LoomConfig
    rows: CollectedRows
    owner: str | None
    """Names the rows in the payload store of a cluster; None where the run writes the file itself."""

    def of_run(self, definition: dict[str, Any]) -> dict[str, Any]:
        """Return the definition of the run, whose rows go here where it writes the file itself. A cluster puts its own
        place into it."""
        if self.owner is not None:
            return definition
        from loom_coordinator.intake.given_records import in_place_of

        return {**definition, "load": in_place_of(definition.get("load"), str(self.rows.path))}

    async def gathered(self, pipeline: Pipeline, report: RunReport) -> CollectedRows:
        """Return the rows of the run of a pipeline, which has ended. Those of a cluster are brought here in constant
        memory, and removed from its payload store. Raises `PermanentError` where they are not all there, and
        `DependencyUnavailable`."""
        if self.owner is None:
            return self.rows
        settings = self.config.settings()
        payloads = open_payloads(settings)
        place: PayloadStore = payloads
        if pipeline.sensitive:
            place = SealedPayloads(payloads, Keyring(settings.encryption.keys, self.config.secrets), pipeline.name)
        try:
            self.rows.path.parent.mkdir(parents=True, exist_ok=True)
            with self.rows.path.open("wb") as stream:
                found = await gather(place, self.owner, report.run_id, stream)
            if found != report.records["loaded"]:
                raise PermanentError(
                    f"Run {report.run_id} loaded {counted(report.records['loaded'], 'row')}, and the payload store has "
                    f"{found:,} of them here. LOOM_PAYLOADS_URL must name here what it names for the loaders; rows are "
                    "kept for a day after their run."
                )
            await payloads.forget(self.owner)
        finally:
            await payloads.close()
        return self.rows


def collecting(config: LoomConfig) -> Collecting:
    """Return a new place for the rows of one run."""
    rows = CollectedRows(config.project.resolve() / _FOLDER / f"{uuid4().hex}.jsonl")
    return Collecting(config, rows, new_rows_owner() if config.distributed else None)
