"""Answers to whoever asked, and what the coordinator tells every replica."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from loom_common.contracts.envelope import Message, Part
from loom_common.domain.values.ids import message_id


class RunAccepted(Message):
    """The answer to a request or command that was accepted."""

    type: ClassVar[str] = "loom.run.accepted.v1"

    run_id: str
    pipeline: str
    status: str
    epoch: int = Field(1, description="Events of an earlier one are older than this answer.")

    @property
    def message_id(self) -> str:
        return message_id("accepted", self.run_id, self.status, self.epoch)


class Mistake(Part):
    """One mistake in a request."""

    path: tuple[str | int, ...]
    found: str
    expected: str
    suggestion: str | None = None


class RunRejected(Message):
    """The answer to a request that cannot be carried out, with every mistake in it."""

    type: ClassVar[str] = "loom.run.rejected.v1"

    error: str
    mistakes: tuple[Mistake, ...] = ()

    @property
    def message_id(self) -> str:
        return message_id("rejected", self.error)


class RunEpoch(Message):
    """To every worker: messages of this run with a lower epoch are stale. `loom.control` / `control.all`."""

    type: ClassVar[str] = "loom.run.epoch.v1"

    run_id: str
    epoch: int

    @property
    def message_id(self) -> str:
        return message_id("epoch", self.run_id, self.epoch)


class PrefetchLimit(Message):
    """To every replica of a service: hold at most so many messages of a queue. `loom.control` / `control.<service>`.

    Said again every few seconds, so that a replica that starts later learns it too."""

    type: ClassVar[str] = "loom.prefetch.limit.v1"

    service: str
    queue: str
    prefetch: int = Field(ge=1, le=1000)

    @property
    def message_id(self) -> str:
        return message_id("prefetch", self.queue, self.prefetch)
