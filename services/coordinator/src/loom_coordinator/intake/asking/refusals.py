"""Enters that a request is not carried out, and tells whoever asked."""

from __future__ import annotations

from loom_common.contracts.envelope import Message
from loom_common.contracts.v1 import RegisterPipeline, RunRequest
from loom_common.errors import ConfigurationError
from loom_common.logs.logger import log
from loom_coordinator.db.outbox_relay import OutboxRelay
from loom_coordinator.intake.asking import audit, run_answers
from loom_coordinator.intake.asking.permissions import NotAllowed
from loom_coordinator.intake.asking.run_answers import Asked


async def refuse(
    outbox: OutboxRelay, asked: Asked, error: ConfigurationError, message: Message | None, *, trusted: bool
) -> None:
    """Refuse a request. One who is `trusted` has noted it in the audit log."""
    log.warning("rejected", error=str(error), reported=True)
    request = message if isinstance(message, RunRequest | RegisterPipeline) else None
    async with outbox.unit() as unit:
        run_answers.answer(unit, asked, await run_answers.reject(unit, error, request))
        if isinstance(error, NotAllowed):
            await audit.note_denied(unit, error)
        elif message is not None and trusted:
            await audit.settle_failed(unit, message, error)
