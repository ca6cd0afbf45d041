"""Calls a handler as a worker does."""

from __future__ import annotations

from loom_common.worker.context import Context


async def outgoing_of(handler, message, context: Context | None = None):
    """The messages that follow from a message."""
    return await handler(message, context or Context())
