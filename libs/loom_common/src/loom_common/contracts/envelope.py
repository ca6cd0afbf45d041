"""Defines what all messages have in common."""

from abc import ABC, abstractmethod
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from loom_common.domain.values.per_record import per_record
from loom_common.flow import Route


class Part(BaseModel):
    """Serves as the base of every part of a message. It is immutable. An unknown field is an error, because it means an
    unknown version."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Message(Part, ABC):
    """Serves as the base of every message. A published class never changes; a new version is a new class with a new
    `type`."""

    type: ClassVar[str]
    """`loom.<entity>.<what>.v<version>`, the AMQP `type` property."""

    @property
    @abstractmethod
    def message_id(self) -> str:
        """Return an id derived from the content, so that a repeated message is recognised."""
        ...

    @property
    def correlation_id(self) -> str:
        """Return the id of the message's run; empty for none."""
        return getattr(self, "run_id", "")

    @property
    def equals_its_encoding(self) -> bool:
        """Tell whether it is known, without encoding it, that its encoding would be decoded to an equal message: it has
        no value of a record, of a model's answer or of user code. It can then be handed over instead of encoded."""
        return False


@per_record
class Outgoing:
    """Holds a message and its route, as a handler returns it."""

    route: Route
    message: Message
    mandatory: bool = True
    """Tells whether it must reach a queue. False for facts that nobody may have subscribed to, and for replies."""
    attempt: int = 1
    reply_to: str | None = None
    """The queue to which an answer is sent."""
    correlation_id: str | None = None
    """The correlation id of an answer, which is that of the request. None means the run id."""
