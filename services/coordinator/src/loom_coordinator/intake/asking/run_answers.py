"""Answers those who asked for a run: that it began, or every reason why it does not."""

from __future__ import annotations

from typing import Protocol

from loom_common import flow
from loom_common.contracts.envelope import Outgoing
from loom_common.contracts.v1 import Mistake, PipelineRegistered, RegisterPipeline, RunAccepted, RunRejected, RunRequest
from loom_common.errors import ConfigurationError, InvalidDefinition
from loom_common.flow import Exchange, Route
from loom_coordinator.db.tables.runs import rejected_requests
from loom_coordinator.db.unit_of_work import UnitOfWork


async def reject(
    unit: UnitOfWork, error: ConfigurationError, request: RunRequest | RegisterPipeline | None
) -> RunRejected:
    """Record a request that cannot be carried out, and say why."""
    problems = error.problems if isinstance(error, InvalidDefinition) else ()
    mistakes = tuple(
        Mistake(path=problem.path, found=problem.found, expected=problem.expected, suggestion=problem.suggestion)
        for problem in problems
    )
    named = request.pipeline if isinstance(request, RunRequest) else None
    name = named or (request.definition or {}).get("name") if request else None
    await unit.connection.execute(
        rejected_requests.insert().values(
            pipeline_name=str(name) if name is not None else None,
            requested_by=request.requested_by if request else None,
            error=str(error),
            mistakes=[mistake.model_dump() for mistake in mistakes],
            received_at=unit.now,
        )
    )
    return RunRejected(error=str(error), mistakes=mistakes)


class Asked(Protocol):
    """Says where an answer is to go: a delivery does."""

    @property
    def reply_to(self) -> str | None: ...

    @property
    def correlation_id(self) -> str | None: ...


def answer(unit: UnitOfWork, asked: Asked, message: RunAccepted | PipelineRegistered | RunRejected) -> None:
    """Send the answer where one is wanted, under the correlation id of the question."""
    if asked.reply_to:
        route = Route(Exchange.DIRECT, asked.reply_to)
        unit.send(Outgoing(route, message, mandatory=False, correlation_id=asked.correlation_id))


def announce(unit: UnitOfWork, accepted: RunAccepted) -> None:
    """Tell everyone who listens that a run began."""
    unit.send(Outgoing(flow.fact("run", "accepted", accepted.pipeline), accepted, mandatory=False))
