"""Lets whoever asks over HTTP judge records of a run, as `loom label` does at a terminal."""

from __future__ import annotations

import asyncio
import copy
from dataclasses import dataclass
from typing import Self

from loom.labelling import label_session
from loom.labelling import report as reporting
from loom.labelling.label_session import LabelSession, Progress, ToJudge
from loom.labelling.report import LabelReport, Wanted
from loom.labelling.subject import subject_of
from loom.project.config import LoomConfig
from loom.rescoring.evaluate import refuse_unended
from loom_api.reads import Reads
from loom_api.running.noting import noted
from loom_common.domain.access import Viewer
from loom_common.domain.json_values.shown import Shown
from loom_common.errors import NotFound
from loom_coordinator.db.outputs import labels
from loom_coordinator.db.outputs.labels import Label, LabelSample
from loom_coordinator.db.run import Run


@dataclass(frozen=True, slots=True)
class NextToJudge(Shown):
    """Holds the record that a person is shown next."""

    progress: Progress
    record: ToJudge | None
    """None where the person has judged or skipped all."""


class Labelling:
    """Carries out what people do to judge records. Whoever judges is the user who asks."""

    def __init__(self, config: LoomConfig, reads: Reads) -> None:
        self._config = config
        self._reads = reads

    def of(self, viewer: Viewer) -> Self:
        """Return what serves somebody."""
        mine = copy.copy(self)
        mine._reads = self._reads.of(viewer)
        return mine

    async def session(self, run_id: str, evaluator: str | None, via: str) -> LabelSession:
        """Return what serves one sample of a run. Without an evaluator, it is that which was drawn last. Raises
        `NotFound` and `ConfigurationError`."""
        run = await self._ended(run_id)
        if evaluator is None and (drawn := await self.samples(run_id)):
            evaluator = drawn[0].subject
        return LabelSession(self._reads.engine, run, subject_of(run, evaluator), self._reads.viewer.user, via)

    async def samples(self, run_id: str) -> list[LabelSample]:
        """Return the samples of a run, the newest first."""
        async with self._reads.engine.connect() as connection:
            return await labels.samples(connection, run_id)

    async def draw(self, run_id: str, evaluator: str | None, count: int | None) -> LabelSample:
        """Draw records of a run, or more of them, and note that. Raises as `label_session.draw` does."""
        run = await self._ended(run_id)
        subject = subject_of(run, evaluator).name
        user = self._reads.viewer.user
        said = {"evaluator": subject, "count": count}
        async with noted(self._reads.engine, self._reads.viewer, "draw", f"runs/{run.pipeline_name}", run_id, said):
            # It reads the source and imports code of the project, for which other requests do not wait.
            return await asyncio.to_thread(
                lambda: asyncio.run(label_session.draw(self._config, run_id, subject, user, count))
            )

    async def next(self, run_id: str, evaluator: str | None) -> NextToJudge:
        """Return the next record. Raises `NotFound` where none were drawn."""
        session = await self.session(run_id, evaluator, "api")
        return NextToJudge(await session.progress(), await session.next())

    async def say(
        self, session: LabelSession, record_id: str, verdict: str, comment: str | None, expected: str | None
    ) -> Label:
        """Keep a label, and note who gave it. What is noted quotes neither the record nor the comment."""
        said = {"record": record_id, "verdict": verdict}
        async with noted(
            session.engine, self._reads.viewer, "label", f"runs/{session.run.pipeline_name}", session.run.run_id, said
        ):
            return await session.say(record_id, verdict, comment, expected)

    async def undo(self, session: LabelSession) -> Label:
        """Take the user's last label back, and note that. Raises `NotFound` where there is none."""
        resource = f"runs/{session.run.pipeline_name}"
        async with noted(session.engine, self._reads.viewer, "take label back", resource, session.run.run_id):
            if (label := await session.undo()) is None:
                raise NotFound(f"{session.person} has judged no record of this sample, so there is nothing to undo.")
            return label

    async def page(self, run_id: str, limit: int, after: tuple[str, str] | None) -> list[Label]:
        """Return a page of the labels of a run, in the order of records and persons. Raises `NotFound`."""
        await self._reads.known(run_id)
        async with self._reads.engine.connect() as connection:
            return await labels.page(connection, run_id, limit, after)

    async def report(self, run_id: str, evaluator: str | None, wanted: Wanted) -> LabelReport:
        """Return how far people and evaluators agree. Raises `NotFound` and `ConfigurationError`."""
        run = await self._ended(run_id)
        return await reporting.report(self._reads.engine, run, evaluator, wanted)

    async def _ended(self, run_id: str) -> Run:
        run = await self._reads.known(run_id)
        refuse_unended(run)
        return run
