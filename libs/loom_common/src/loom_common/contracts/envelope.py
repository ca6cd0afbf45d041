"""What every message has, whatever it says."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from loom_common.flow import Route


class Part(BaseModel):
    """A piece of a message. Immutable; an unknown field is an error, because it means an unknown version."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Message(Part, ABC):
    """A message. A new version is a new class with a new `type`; this one never changes."""

    type: ClassVar[str]
    """`loom.<entity>.<what>.v<version>`, the AMQP `type` property."""

    @property
    @abstractmethod
    def message_id(self) -> str:
        """Derived from what the message says, so that saying it twice is recognised."""
        ...

    @property
    def correlation_id(self) -> str:
        """The run it belongs to; empty for none."""
        return getattr(self, "run_id", "")


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message and where it goes: what a handler gives back."""

    route: Route
    message: Message
    mandatory: bool = True
    """Whether it must reach a queue. False for facts that may interest nobody, and for replies."""
    attempt: int = 1
    reply_to: str | None = None
    """The queue an answer is wanted on."""
    correlation_id: str | None = None
    """Of an answer: what the question carried. Default: the run id."""
