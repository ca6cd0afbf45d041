"""Carries out what requests ask for: starts runs and commands them, as the command line does."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self, TypeVar

from starlette.exceptions import HTTPException

from loom.project.catalog import nothing_named
from loom.project.config import LoomConfig
from loom.requests import replays, runs
from loom.requests.replays import NothingWaits
from loom.session import Asker, RunEngine
from loom_api.bodies import Definition, EstimateOptions, RetryOptions, RunOptions
from loom_api.reads import Reads
from loom_api.running import definitions
from loom_api.running.noting import Noted, note_denied, noted
from loom_api.running.sessions import Sessions
from loom_common.contracts.v1 import LineageParent, PipelineRegistered, RegisterPipeline, RunAccepted
from loom_common.domain.access import Action, Kind, Viewer
from loom_common.domain.run.replaying import Changes
from loom_common.errors import ConfigurationError, NotFound
from loom_coordinator.db.audit_log import Act
from loom_coordinator.queries import dead_letters
from loom_coordinator.queries.alerts import AlertLine
from loom_quarantine.queries import RecordFilter

if TYPE_CHECKING:
    from loom.preflight.estimate import Estimate
    from loom.requests.validation import Validation

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Begun:
    """Describes a run that has begun."""

    accepted: RunAccepted
    notes: list[str]
    """Says what the run does about columns that do not fit."""


class Commands:
    """Carries out commands, on a cluster by messages to its coordinator, embedded in this process."""

    def __init__(self, config: LoomConfig, sessions: Sessions, reads: Reads) -> None:
        self._config = config
        self._sessions = sessions
        self._reads = reads
        self._all = reads

    def of(self, viewer: Viewer) -> Self:
        """Return what carries out somebody's commands, and notes that they gave them."""
        ordered = copy.copy(self)
        ordered._reads = self._all.of(viewer)
        return ordered

    @property
    def _viewer(self) -> Viewer:
        return self._reads.viewer

    def _noted(
        self, action: str, resource: str, run_id: str | None = None, details: Mapping[str, Any] | None = None
    ) -> AbstractAsyncContextManager[Noted]:
        return noted(self._reads.engine, self._viewer, action, resource, run_id, details)

    def _by(self, act: Noted) -> Asker:
        return Asker(self._viewer.user, act.line)

    async def _demand(self, kind: Kind, action: Action, pipeline: str, run_id: str | None = None) -> None:
        """Raise `HTTPException` where whoever commands may not do this, and note that."""
        if not self._viewer.may(kind, action, pipeline):
            act = Act(self._viewer.user, self._viewer.token_name, action.value, f"{kind.value}/{pipeline}")
            raise HTTPException(403, await note_denied(self._reads.engine, self._viewer, act, run_id))

    async def run(
        self, name: str, options: RunOptions, key: str | None, lineage_parent: LineageParent | None = None
    ) -> Begun:
        """Start a run of a pipeline of the project, or of one that is registered, or open its stream. The same `key`
        twice starts one run. Raises `ConfigurationError` where it cannot begin."""
        await self._sessions.renew()
        notes: list[str] = []
        prepared = await self._found(
            name,
            lambda: runs.prepare(
                name,
                self._config,
                options.params,
                sample=options.sample is not None and not options.load,
                wait=False,
                say=notes.append,
                by_name=True,
            ),
        )
        how = {
            "sample": options.sample,
            "load": options.load,
            "reuse": options.reuse and self._config.cache.enabled,
            "full_refresh": options.full_refresh,
            "budget": options.budget,
            "priority": options.priority,
            "lineage_parent": lineage_parent,
            "canary": options.canary,
            "begin_at": options.begin_at,
            "again": options.again,
            "idempotency_key": key,
            "requested_by": self._viewer.user,
        }
        session = await self._sessions.session()
        said: dict[str, Any] = {"sample": options.sample, "budget": options.budget, "params": options.params}
        if options.begin_at is not None:
            said |= {"begin_at": options.begin_at, "again": options.again}
        async with self._noted("run", f"pipelines/{name}", None, said) as act:
            accepted = await session.begin(prepared.request.model_copy(update={**how, "audit_line": act.line}))
            act.run_id = accepted.run_id
        return Begun(accepted, notes)

    async def register(self, said: Definition) -> PipelineRegistered:
        """Enter a pipeline without running it. Raises `InvalidDefinition` with every mistake."""
        # Reading a definition reads files and imports code that it names, so that its name alone is looked at before.
        await self._demand(
            Kind.PIPELINES, Action.REGISTER, await asyncio.to_thread(definitions.name_in, said.definition)
        )
        await self._sessions.renew()
        loaded = await asyncio.to_thread(definitions.read, said, self._config)
        name = loaded.pipeline.name
        await self._demand(Kind.PIPELINES, Action.REGISTER, name)
        registration = RegisterPipeline(
            definition=loaded.definition,
            files=loaded.files,
            base=self._config.base_of(loaded.folder),
            requested_by=self._viewer.user,
        )
        session = await self._sessions.session()
        async with self._noted("register", f"pipelines/{name}", None, {"version": loaded.pipeline.version}) as act:
            return await session.register(registration.model_copy(update={"audit_line": act.line}))

    @asynccontextmanager
    async def _commanding(
        self, verb: str, run_id: str, details: Mapping[str, Any] | None = None
    ) -> AsyncIterator[tuple[RunEngine, Asker]]:
        """Provide what a command about a run is given to, and who gives it, and note the command. Raises `NotFound`
        where whoever commands may not see the run."""
        run = await self._reads.known(run_id)
        session = await self._sessions.session()
        async with self._noted(verb, f"runs/{run.pipeline_name}", run_id, details) as act:
            yield session, self._by(act)

    async def pause(self, run_id: str) -> RunAccepted:
        """Stop a run where it stands. Nothing is lost: `resume` goes on."""
        async with self._commanding("pause", run_id) as (session, by):
            return await session.pause(run_id, by=by)

    async def resume(self, run_id: str, budget: float | None) -> RunAccepted:
        """Go on with a run that was interrupted, paused, cancelled or failed; it may cost `budget` USD in all."""
        await self._reads.known(run_id)
        await self._sessions.renew()
        async with self._commanding("resume", run_id, {"budget": budget}) as (session, by):
            return await session.resume(run_id, budget, by=by)

    async def cancel(self, run_id: str) -> RunAccepted:
        """End a run; what is loaded stays."""
        async with self._commanding("cancel", run_id) as (session, by):
            return await session.cancel(run_id, by=by)

    async def drain(self, run_id: str) -> RunAccepted:
        """Let the stream that a run is a window of end once its source has nothing more for the moment. Raises
        `ConfigurationError` for any other run."""
        async with self._commanding("drain", run_id) as (session, by):
            return await session.drain(run_id, by=by)

    async def promote(self, run_id: str) -> RunAccepted:
        """Give the version on trial all records of the stream that a run is a window of. Raises `ConfigurationError`
        where none is on trial."""
        async with self._commanding("promote", run_id) as (session, by):
            return await session.promote(run_id, by=by)

    async def roll_back(self, run_id: str) -> RunAccepted:
        """Give the version on trial no more records of its stream. Raises as `promote` does."""
        async with self._commanding("rollback", run_id) as (session, by):
            return await session.roll_back(run_id, by=by)

    async def prioritize(self, run_id: str, priority: int) -> RunAccepted:
        """Change a run's share beside other runs."""
        async with self._commanding("priority", run_id, {"priority": priority}) as (session, by):
            return await session.prioritize(run_id, priority, by=by)

    async def retry(self, record_id: str, options: RetryOptions) -> RunAccepted | NothingWaits:
        """Run a record that was kept back through its pipeline again, as a run of its own, unless it is resolved, or
        another replay has taken it up. Raises `NotFound`, and `InvalidDefinition` where changes do not fit."""
        if (run_id := options.run_id) is None:
            run_id = (await self._reads.kept_record(record_id, None)).row.run_id
        try:
            return await self.replay(run_id, RecordFilter(run_id=run_id, record_ids=(record_id,)), options.changes())
        except NotFound:
            await self._reads.kept_record(record_id, run_id)  # raises what says why
            raise

    async def replay(self, run_id: str, meant: RecordFilter, changes: Changes | None) -> RunAccepted | NothingWaits:
        """Run the records meant, of one run, through its pipeline again, as a run of its own: those that wait. Raises
        `NotFound`, and `InvalidDefinition` where changes do not fit."""
        run = await self._reads.known(run_id)
        await self._demand(Kind.QUARANTINE, Action.REPLAY, run.pipeline_name, run_id)
        standing = await self._reads.replayable(meant)
        if not standing.records:
            raise NotFound(f"Run {run_id} kept back no record like this. See: loom quarantine list --run-id {run_id}")
        if not standing.waiting:
            return await replays.nothing_waits(self._reads, run_id, standing)
        await self._sessions.renew()
        session = await self._sessions.session()
        try:
            names = replays.named(meant, standing)
            said = {"replay_of": run_id, "records": names, "changes": _dumped(changes)}
            async with self._noted("replay", f"quarantine/{run.pipeline_name}", None, said) as act:
                sent = await replays.sealed_changes(self._config, self._reads, run_id, changes)
                accepted = await session.replay(run_id, names, sent, by=self._by(act))
                act.run_id = accepted.run_id
            return accepted
        except ConfigurationError:
            standing = await self._reads.replayable(meant)
            if standing.waiting:
                raise
            return await replays.nothing_waits(self._reads, run_id, standing)

    async def discard(self, meant: RecordFilter) -> RunAccepted:
        """Give up the records meant, of one run: those that wait. The quarantine does so when it comes to it. Raises
        `NotFound` where there are none."""
        run = await self._reads.known(str(meant.run_id))
        await self._demand(Kind.QUARANTINE, Action.DISCARD, run.pipeline_name, run.run_id)
        names = await self._reads.quarantined_ids(replace(meant, unresolved=True))
        if not names:
            raise NotFound(f"Of run {run.run_id}, no record like this waits. See: loom quarantine list --unresolved")
        session = await self._sessions.session()
        async with self._noted("discard", f"quarantine/{run.pipeline_name}", run.run_id, {"records": names}) as act:
            return await session.discard(run.run_id, names, by=self._by(act))

    async def acknowledge(self, alert_id: int) -> AlertLine:
        """Note that somebody has seen an alert. Raises `NotFound`."""
        return await self._reads.acknowledge(alert_id, self._viewer.user)

    async def replay_dead_letter(self, letter_id: str) -> list[str]:
        """Send a dead letter where it was going, and return its id; more ids where they begin so, too."""
        bus = self._reads.broker
        async with dead_letters.taken(bus) as letters:
            meant = dead_letters.chosen(letters, [letter_id])
            async with self._noted("replay dead letter", "cluster", None, {"letters": [each.id for each in meant]}):
                await dead_letters.replay(bus, meant)
        return [each.id for each in meant]

    async def validate(self, said: Definition, *, connect: bool) -> Validation:
        """Check a definition and what it needs."""
        await self._sessions.renew()
        return await definitions.validated(said, self._config, connect=connect)

    async def estimate(self, said: EstimateOptions) -> Estimate:
        """Estimate what a run would cost. Raises `ConfigurationError` where it has mistakes, or cannot be estimated."""
        await self._sessions.renew()
        return await definitions.estimated(said, self._config)

    async def _found(self, name: str, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Do what looks for a pipeline. Raises `NotFound` where there is none, which names only those that may be
        seen."""
        try:
            return await definitions.apart(work)
        except NotFound as error:
            if self._viewer.unlimited:
                raise
            raise nothing_named(name, {each.name for each in await self._reads.listed()}) from error


def _dumped(changes: Changes | None) -> dict[str, Any] | None:
    """Return what is noted of changes: the names of the fields that were edited, and not what they hold now."""
    if changes is None:
        return None
    return {**changes.model_dump(exclude={"edits"}, exclude_defaults=True), "edits": sorted(changes.edits)}
