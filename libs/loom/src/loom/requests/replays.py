"""Finds out which records of a run a replay takes up, and says what became of them where it takes none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from loom.project.config import LoomConfig
from loom.views import Views
from loom_common.domain.definition.reader import parse
from loom_common.domain.json_values.shown import Shown
from loom_common.domain.run.replaying import Changes
from loom_common.domain.values.plural import counted
from loom_common.errors import ConfigurationError
from loom_common.sealing.keyring import Keyring
from loom_common.sealing.sealer import Sealer
from loom_quarantine.queries import RecordFilter, Standing


@dataclass(frozen=True, slots=True)
class NothingWaits(Shown):
    """Says what became of records of which none waits: resolved, or taken up by another replay."""

    run_id: str
    standing: Standing
    statuses: Mapping[str, str]
    """The statuses of the replays that have taken some of them up, by run id."""

    def words(self, flags: str = "") -> str:
        """Say in sentences why no record waits. `flags` are added to suggested commands."""
        return " ".join(["Nothing is replayed.", *self._sentences(flags)])

    def _sentences(self, flags: str) -> list[str]:
        sentences = []
        if resolved := sum(self.standing.resolved.values()):
            ways = ", ".join(f"{number:,} {action}" for action, number in self.standing.resolved.items())
            sentences.append(f"Resolved: {counted(resolved, 'record')} ({ways}).")
        for name, number in self.standing.held.items():
            sentences.append(f"Taken up by {name}, which is {self.statuses[name]}: {counted(number, 'record')}.")
            if self.statuses[name] in ("paused", "interrupted"):
                sentences.append(
                    f"Finish it with `loom resume {name}{flags}`, or drop it with `loom cancel {name}{flags}`."
                )
        return sentences

    def as_json(self) -> dict[str, Any]:
        """Return the document of `loom quarantine retry --format json`, without the sentences."""
        held = self.standing.held.items()
        return {
            "replay_of": self.run_id,
            "records": self.standing.records,
            "resolved": self.standing.resolved,
            "in_replays": [{"run_id": name, "status": self.statuses[name], "records": number} for name, number in held],
            "replayed": 0,
        }


async def nothing_waits(views: Views, run_id: str, standing: Standing) -> NothingWaits:
    """Find out what became of records of which none waits."""
    return NothingWaits(run_id, standing, {replay: await views.status(replay) or "unknown" for replay in standing.held})


async def sealed_changes(config: LoomConfig, views: Views, run_id: str, changes: Changes | None) -> Changes | None:
    """Return the changes of a replay as they are sent to a cluster: edits of sensitive fields are encrypted. Raises
    `ConfigurationError` where their key cannot be used here."""
    if changes is None or not changes.edits or not config.distributed:
        return changes
    run = await views.row(run_id)
    pipeline = None if run is None else parse(dict(run.definition))
    if pipeline is None or not any(map(pipeline.sensitive_fields.concern, changes.edits)):
        return changes
    try:
        keys = await Keyring(config.settings().encryption.keys, config.secrets).keys()
    except ConfigurationError as error:
        words = "Edits of sensitive fields are encrypted before they are sent, and their key cannot be used here: "
        raise ConfigurationError(f"{words}{error}") from error
    sealer = Sealer(pipeline.name, pipeline.sensitive_fields, keys)
    return changes.model_copy(update={"edits": sealer.sealed_edits(changes.edits)})


def named(meant: RecordFilter, standing: Standing) -> tuple[str, ...] | None:
    """Return the ids that a replay of the records meant names; None for all of the run that wait."""
    everything = replace(meant, record_ids=None) == RecordFilter(run_id=meant.run_id)
    return meant.record_ids if everything else standing.waiting
