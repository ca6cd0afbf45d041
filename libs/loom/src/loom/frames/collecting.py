"""Names the rows that a run gives back to Python, and brings them here when it has ended.

The run keeps them in the payload store, embedded and on a cluster, so that the definition by which the pipeline is
registered is its own: a later run by that name loads where the pipeline says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
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
    owner: str
    """Names the rows in the payload store, until they are brought here."""

    async def gathered(self, pipeline: Pipeline, report: RunReport) -> CollectedRows:
        """Return the rows of the run of a pipeline, which has ended. They are brought here in constant memory, and
        removed from the payload store. Raises `PermanentError` where they are not all there, and
        `DependencyUnavailable`."""
        settings = self.config.settings()
        payloads = open_payloads(settings)
        place: PayloadStore = payloads
        if pipeline.sensitive:
            place = SealedPayloads(payloads, Keyring(settings.encryption.keys, self.config.secrets), pipeline.name)
        try:
            self.rows.path.parent.mkdir(parents=True, exist_ok=True)
            with self.rows.path.open("wb") as stream:
                found = await gather(place, self.owner, report.run_id, stream)
            if found < report.records["loaded"]:  # one that ended early may have kept more than it still counted
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
    return Collecting(config, rows, new_rows_owner())
