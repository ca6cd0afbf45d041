"""Notes in the audit log what a message does, in the transaction in which it does it."""

from __future__ import annotations

from loom_common.contracts.envelope import Message
from loom_common.contracts.v1 import PipelineRegistered, RunAccepted
from loom_coordinator.db import audit_log
from loom_coordinator.db.audit_log import Act
from loom_coordinator.db.unit_of_work import UnitOfWork
from loom_coordinator.intake.asking.permissions import NotAllowed


async def note(unit: UnitOfWork, act: Act, accepted: RunAccepted | PipelineRegistered) -> None:
    """Note what somebody did by a message."""
    await audit_log.note(unit.connection, act, unit.now, audit_log.DONE, _run_of(accepted))


async def note_denied(unit: UnitOfWork, error: NotAllowed) -> None:
    """Note what somebody may not do."""
    await audit_log.note(unit.connection, error.act, unit.now, audit_log.DENIED)


async def settle(unit: UnitOfWork, message: Message, accepted: RunAccepted | PipelineRegistered) -> None:
    """Note the outcome in the line that whoever asked, and is trusted, has entered before."""
    if (line := getattr(message, "audit_line", None)) is not None:
        await audit_log.settle(unit.connection, line, audit_log.DONE, _run_of(accepted))


async def settle_failed(unit: UnitOfWork, message: Message, error: Exception) -> None:
    """Note there that it could not be done."""
    if (line := getattr(message, "audit_line", None)) is not None:
        await audit_log.settle(unit.connection, line, audit_log.FAILED, None, str(error))


def _run_of(accepted: RunAccepted | PipelineRegistered) -> str | None:
    return accepted.run_id if isinstance(accepted, RunAccepted) else None
