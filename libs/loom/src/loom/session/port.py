"""Defines the port of engines. An engine carries out runs: it decides in which processes the handlers of the stages
run, what brings them their messages, and what tries them again.

Five methods differ from engine to engine. What people ask of a run in words, such as `cancel`, is made of them here.
What becomes of a record is the same on every engine, because the handlers are the same, and because the state database,
the journal and the ledger of the destination say what is done."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from loom_common.contracts.envelope import Message
from loom_common.contracts.v1 import (
    DiscardRequest,
    PipelineRegistered,
    RegisterPipeline,
    ReplayRequest,
    RunAccepted,
    RunCommand,
    RunFinished,
    RunProgress,
    RunRequest,
)
from loom_common.domain.run.replaying import Changes
from loom_common.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Asker:
    """Says who asks for a command."""

    requested_by: str | None = None
    audit_line: int | None = None
    """Is the number of the line of the audit log in which that is noted."""


NOBODY = Asker()

Event = RunProgress | RunFinished


class StreamOpened(ConfigurationError):
    """Reports that a stream was opened, or goes on, where somebody wanted a run that ends."""

    def __init__(self, accepted: RunAccepted) -> None:
        self.accepted = accepted
        super().__init__(
            f"The pipeline {accepted.pipeline} never ends: {accepted.stream} goes on with window {accepted.window}. "
            f"`loom status {accepted.stream}` shows it, and `loom drain {accepted.stream}` ends it."
        )


class RunEngine(ABC):
    """Represents an engine that is open. What is asked of it is answered once the coordinator has it in the state
    database, so that it outlives the process that asked."""

    @abstractmethod
    async def begin(self, request: RunRequest) -> RunAccepted:
        """Start a run, or open a stream. The same idempotency key twice starts one run. Raises `InvalidDefinition`
        with every mistake where the request is rejected."""

    @abstractmethod
    async def command(self, verb: str, message: Message) -> RunAccepted | PipelineRegistered:
        """Send a command of `flow.run_command` and return its answer. Raises `ConfigurationError` where it is
        rejected, and `DependencyUnavailable` where nobody answers."""

    @abstractmethod
    def follow(self, run_id: str) -> AsyncIterator[Event]:
        """Yield progress as it comes; end with `RunFinished`, or with progress of status `paused`. What was still on
        its way when the run was resumed is passed over."""

    @abstractmethod
    async def checkpoint(self) -> list[str]:
        """Bring the runs that go on only as long as this process to a point where `resume` goes on with nothing in
        flight, and return their ids. Without it, as after a kill, what was in flight is done again."""

    @abstractmethod
    async def resume(self, run_id: str, budget: float | None = None, *, by: Asker = NOBODY) -> RunAccepted:
        """Go on with a run that was interrupted, paused, cancelled or failed; it may cost `budget` USD in all. What is
        in the state database, in the journal or in the destination is not done again."""

    def follow_stream(self, stream: str, first: int) -> AsyncIterator[Event]:
        """Yield what is told of the windows of a stream, from the window `first`; end where none of them is at work any
        more, or goes on by itself. Raises `ConfigurationError` on an engine that opens no streams."""
        raise ConfigurationError(f"This engine opens no streams, so {stream} cannot be followed on it.")

    async def at_work(self) -> list[str]:
        """Return the ids of the runs that go on only as long as this process. A cluster works on without it."""
        return []

    async def start(self, request: RunRequest) -> RunAccepted:
        """Start a run. Raises `InvalidDefinition` with every mistake where the request is rejected, and
        `ConfigurationError` for a pipeline that never ends, which `begin` opens: `StreamOpened` where only the
        coordinator knew that."""
        definition = request.definition or {}
        if definition.get("mode") == "streaming" and request.sample is None and request.records is None:
            raise ConfigurationError(
                f"The pipeline {definition.get('name')} has `mode: streaming`, so a run of it does not end. `loom run` "
                "with its file opens it and shows its windows; a sample of it ends."
            )
        accepted = await self.begin(request)
        if accepted.stream is not None:
            raise StreamOpened(accepted)
        return accepted

    async def register(self, registration: RegisterPipeline) -> PipelineRegistered:
        """Enter a pipeline without running it. Raises as `start` does."""
        said = await self.command("register", registration)
        assert isinstance(said, PipelineRegistered)
        return said

    async def cancel(self, run_id: str, *, by: Asker = NOBODY) -> RunAccepted:
        """End a run; what is loaded stays."""
        return await self._of_run(by, run_id=run_id, verb="cancel")

    async def pause(self, run_id: str, *, by: Asker = NOBODY) -> RunAccepted:
        """Pause a run, so that nothing of it is on its way any more. Nothing is lost: `resume` goes on."""
        return await self._of_run(by, run_id=run_id, verb="pause")

    async def prioritize(self, run_id: str, priority: int, *, by: Asker = NOBODY) -> RunAccepted:
        """Change a run's share beside other runs, from 1 to 10; effective with its next slice."""
        return await self._of_run(by, run_id=run_id, verb="priority", priority=priority)

    async def drain(self, run_id: str, *, by: Asker = NOBODY) -> RunAccepted:
        """Let a stream, named by its id or that of a window, end once its source has nothing more for the moment. It is
        noted in the row of the stream, which whatever process works on it reads."""
        return await self._of_run(by, run_id=run_id, verb="drain")

    async def promote(self, run_id: str, *, by: Asker = NOBODY) -> RunAccepted:
        """Give the version on trial all records of its stream, named by its id or that of a window."""
        return await self._of_run(by, run_id=run_id, verb="promote")

    async def roll_back(self, run_id: str, *, by: Asker = NOBODY) -> RunAccepted:
        """Give the version on trial no more records of its stream, named as for `promote`."""
        return await self._of_run(by, run_id=run_id, verb="rollback")

    async def replay(
        self,
        run_id: str,
        record_ids: tuple[str, ...] | None,
        changes: Changes | None = None,
        idempotency_key: str | None = None,
        *,
        by: Asker = NOBODY,
    ) -> RunAccepted:
        """Run again over a run's quarantined records, as a run of its own. Raises `InvalidDefinition` where the
        changes do not fit its pipeline. The same key twice starts one run."""
        request = ReplayRequest(
            run_id=run_id,
            record_ids=record_ids,
            changes=changes,
            idempotency_key=idempotency_key,
            requested_by=by.requested_by,
            audit_line=by.audit_line,
        )
        return await self._accepted("replay", request)

    async def discard(self, run_id: str, record_ids: tuple[str, ...] | None, *, by: Asker = NOBODY) -> RunAccepted:
        """Give up a run's quarantined records. The quarantine service does so when it comes to it. Raises
        `ConfigurationError` where none of them waits."""
        request = DiscardRequest(
            run_id=run_id, record_ids=record_ids, requested_by=by.requested_by, audit_line=by.audit_line
        )
        return await self._accepted("discard", request)

    async def _of_run(self, by: Asker, **said: Any) -> RunAccepted:
        return await self._accepted(said["verb"], command_of(by, **said))

    async def _accepted(self, verb: str, message: Message) -> RunAccepted:
        said = await self.command(verb, message)
        assert isinstance(said, RunAccepted)
        return said


def command_of(by: Asker, **said: Any) -> RunCommand:
    """Return a command, with who asks for it."""
    return RunCommand(**said, requested_by=by.requested_by, audit_line=by.audit_line)
