"""Defines what is shown of a dead letter."""

from typing import Any

from pydantic import BaseModel


class LetterDocument(BaseModel):
    """Describes a dead letter with all that it says."""

    id: str
    type: str | None
    run_id: str | None
    by: str | None
    exchange: str | None
    routing_key: str
    reason: str
    message_id: str | None
    content_encoding: str | None
    headers: dict[str, Any]
    bytes: int
    body: str
