"""Runs a pipeline under test: the embedded engine, with state, journal and destination in a temporary folder, and with
the answers of a recorder. Nothing of it is a run of the project."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from loom.frames.given import records_of
from loom.project.config import LoomConfig
from loom.project.definition_file import LoadedPipeline
from loom.session import RunEngine, open_session
from loom.stored_records import stored
from loom.testing import under_test
from loom.testing.collected import destination_of, rows_in
from loom.testing.earlier_run import EarlierOutputs, outputs_of
from loom.views import open_views
from loom_ai.recordings.in_use import using
from loom_ai.recordings.recorder import Recorder
from loom_common.contracts.v1 import RunFinished, RunReport, RunRequest
from loom_common.domain.definition.reader import parse
from loom_common.domain.json_values.plain_values import plain
from loom_common.domain.values.ids import record_hash
from loom_quarantine.queries import RecordFilter, WholeRecord

in_use: set[Path] = set()
"""Holds the temporary folders of this process, for who ends it at once and has to remove them."""


@dataclass(frozen=True, slots=True)
class Trial:
    """Holds what a run under test came to."""

    run_id: str
    report: RunReport | None
    """None where the run was paused."""
    notice: str | None = None
    """Says why it was paused."""
    loaded: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The rows of the records that passed, by the ids of the records, where they were collected."""
    kept: Mapping[str, WholeRecord] = field(default_factory=dict)
    """The records that were kept back, by id."""

    @property
    def error(self) -> str | None:
        """Say why the run did not get to its end; None where it did."""
        if self.report is None:
            return self.notice or "The run was paused."
        return self.report.error if self.report.status == "failed" else None


class Trials:
    """Runs pipelines. Open with `open_trials`."""

    def __init__(self, config: LoomConfig, session: RunEngine, folder: Path, project: LoomConfig) -> None:
        """`config` keeps what runs under test leave aside; `project` has the runs of the project."""
        self._config = config
        self._project = project
        self._earlier: dict[str, EarlierOutputs] = {}
        self._session = session
        self.folder = folder
        """The temporary folder, in which the rows of trials are written."""

    async def over_records(
        self, loaded: LoadedPipeline, records: Sequence[Mapping[str, Any]], params: Mapping[str, Any]
    ) -> Trial:
        """Run over these records, whose ids `ids_of` gives. Each is asked about in a call of its own, so that its
        question does not depend on the other records."""
        rows = self._new_file("jsonl")
        definition = under_test.over_records(loaded.definition, destination_of(rows))
        async with stored(self._config, records_of(records), parse(definition)) as (name, remove):
            try:
                return await self._carried_out(self._request(loaded, definition, params, records=name), rows)
            finally:
                await remove()

    async def over_source(
        self, loaded: LoadedPipeline, params: Mapping[str, Any], source: str | None, sample: int | None
    ) -> Trial:
        """Run over the pipeline's source, or over `source`; over the first `sample` records, where that is given."""
        rows = self._new_file("jsonl")
        definition = under_test.over_source(loaded.definition, destination_of(rows), source)
        return await self._carried_out(self._request(loaded, definition, params, sample=sample), rows)

    async def into(
        self,
        loaded: LoadedPipeline,
        params: Mapping[str, Any],
        destination: str,
        source: str | None,
        sample: int | None,
    ) -> Trial:
        """Run from the source into a destination."""
        definition = under_test.into(loaded.definition, destination, source)
        return await self._carried_out(self._request(loaded, definition, params, sample=sample), None)

    async def rows_of(self, location: str) -> list[Mapping[str, Any]]:
        """Read the rows that lie at a location. Raises `ConfigurationError` where they cannot be read."""
        rows = self._new_file("jsonl")
        request = RunRequest(definition=under_test.reading(location, destination_of(rows)), reuse=False)
        trial = await self._carried_out(request, rows)
        if trial.error:
            raise under_test.unreadable(location, trial.error)
        return list(trial.loaded.values())

    async def outputs_of_run(self, run_id: str) -> EarlierOutputs:
        """Return the outputs of a run of the project, which are read once. Raises as `earlier_run.outputs_of` does."""
        if run_id not in self._earlier:
            self._earlier[run_id] = await outputs_of(self._project, run_id)
        return self._earlier[run_id]

    async def scores(self, trial: Trial, record_id: str) -> dict[str, float | None]:
        """Return the scores that evaluators gave a record, by their names."""
        from loom_coordinator.queries import records

        async with open_views(self._config) as views, views.engine.connect() as connection:
            found = await records.scores(connection, trial.run_id, record_id)
        return {each.evaluator_name: each.score for each in found}

    def new_place(self) -> Path:
        """Return a new, empty folder."""
        place = self.folder / uuid4().hex[:8]
        place.mkdir()
        return place

    def _new_file(self, ending: str) -> Path:
        return self.folder / f"{uuid4().hex}.{ending}"

    def _request(
        self, loaded: LoadedPipeline, definition: dict[str, Any], params: Mapping[str, Any], **more: Any
    ) -> RunRequest:
        return RunRequest(
            definition=definition,
            files=loaded.files,
            base=self._config.base_of(loaded.folder),
            params=dict(params),
            load=more.get("sample") is not None,
            reuse=False,
            requested_by="loom test",
            **more,
        )

    async def _carried_out(self, request: RunRequest, rows: Path | None) -> Trial:
        accepted = await self._session.start(request)
        report, notice = None, None
        async for event in self._session.follow(accepted.run_id):
            if isinstance(event, RunFinished):
                report = event.report
            else:
                notice = event.notice
        kept = {}
        async with open_views(self._config) as views:
            async for record in views.quarantined_whole(RecordFilter(run_id=accepted.run_id)):
                kept[record.record_id] = record
        return Trial(accepted.run_id, report, notice, {} if rows is None else rows_in(rows), kept)


@asynccontextmanager
async def open_trials(config: LoomConfig, recorder: Recorder) -> AsyncIterator[Trials]:
    """Start the engine in a temporary folder. Its models answer through `recorder`."""
    with tempfile.TemporaryDirectory(prefix="loom-test-") as name, using(recorder):
        folder = Path(name)
        in_use.add(folder)
        aside = config.aside(folder).allowing([folder])
        async with open_session(aside, cluster=False) as session:
            try:
                yield Trials(aside, session, folder, config)
            finally:
                in_use.discard(folder)


def ids_of(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the ids that records get which are given to a run without a key. Raises `NoPlainValue`."""
    return [record_hash(plain(dict(record)), f"record {number}") for number, record in enumerate(records, 1)]
