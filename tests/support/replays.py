"""Replays of quarantined records for tests that need no coordinator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from loom_common.adapters.payloads.folder import FolderPayloads
from loom_common.async_engine import AsyncEngine
from loom_common.caching.plan_cache import PlanCache
from loom_common.config.credentials import Credentials
from loom_common.contracts.envelope import Outgoing
from loom_common.contracts.v1 import BatchExtracted, ExtractSlice, RunFinished, RunReport, SliceExtracted
from loom_common.domain.definition.reader import parse
from loom_common.domain.run.plan import Plan
from loom_common.domain.run.plan import Replay as ReplayOf
from loom_common.sealed_stages.handlers import SealedStages
from loom_common.sealing.keyring import Keyring
from loom_quarantine.replays import claims
from loom_quarantine.replays.source import Replay
from support.handling import outgoing_of


class Harness:
    """Holds a replay of run_1 as run_2, whose batches visit every stage."""

    def __init__(
        self,
        engine: AsyncEngine,
        folder: Path,
        record_ids: Sequence[str] | None = None,
        edits: Mapping[str, Any] | None = None,
        **extract: Any,
    ) -> None:
        pipeline = {
            "name": "p",
            "extract": {"source": "x.csv", "batch_size": 2, **extract},
            "transform": {"type": "passthrough"},
            "load": {"destination": "y.csv"},
        }
        replay = ReplayOf(run_id="run_1", record_ids=record_ids, edits=edits or {})
        self.plan = Plan(pipeline=parse(pipeline), replay=replay, every_hop=True)
        self.payloads = FolderPayloads(folder)
        plans = PlanCache(self.payloads)
        self.replay = Replay(plans, engine, SealedStages(plans, Keyring((), Credentials())))

    async def slice(
        self, number: int = 0, cursor: Any = None, max_batches: int = 2, **more: Any
    ) -> tuple[list[Outgoing], SliceExtracted]:
        """Ask for a slice. Returns all messages that answer, and the first of them, which tells of the slice."""
        plan = await self.payloads.put(self.plan.encoded())
        request = ExtractSlice(
            run_id="run_2",
            pipeline="p",
            plan=plan,
            epoch=1,
            partition=0,
            slice=number,
            cursor=cursor,
            max_batches=max_batches,
            **more,
        )
        outgoing = await outgoing_of(self.replay, request)
        told = outgoing[0].message
        assert isinstance(told, SliceExtracted)
        return outgoing, told


def ids_of(outgoing: Sequence[Outgoing]) -> list[list[str]]:
    """Return the ids of the records in each batch among the messages."""
    return [
        [record.id for record in each.message.records] for each in outgoing if isinstance(each.message, BatchExtracted)
    ]


def report(status: str, **records: int) -> RunReport:
    """Return the report of the replay run_2, with the counts of its records."""
    return RunReport(
        run_id="run_2",
        pipeline="p",
        version="1",
        status=status,
        error=None,
        records=records,
        evaluation={},
        cost={},
        calls={},
        latency={},
        duration_seconds=1.0,
        destination="y.csv",
    )


def finished(status: str = "succeeded", replay_of: str | None = "run_1", **records: int) -> RunFinished:
    """Return the message that says that the replay run_2 has ended."""
    return RunFinished(run_id="run_2", pipeline="p", epoch=1, report=report(status, **records), replay_of=replay_of)


async def taken(
    engine: AsyncEngine,
    run_id: str,
    of: str = "run_1",
    origin: str | None = None,
    edits: Mapping[str, Any] | None = None,
    named: Sequence[str] | None = None,
) -> list[str]:
    """Take the records of the run `of` for the replay `run_id`: all of them, or those that are named. Returns the ids
    of those that it gets."""
    replay = ReplayOf(run_id=of, origin=origin, edits=edits or {}, record_ids=named)
    page = await claims.page(engine, replay, run_id, None, 100)
    return [each.record_id for each in page.records]
