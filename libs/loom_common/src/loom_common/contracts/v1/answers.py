"""Answers to requests, and the coordinator's messages to all replicas."""

from typing import ClassVar

from pydantic import Field

from loom_common.contracts.envelope import Message, Part
from loom_common.domain.values.ids import message_id


class RunAccepted(Message):
    """Answers a request or command that was accepted."""

    type: ClassVar[str] = "loom.run.accepted.v1"

    run_id: str
    pipeline: str
    status: str
    epoch: int = Field(1, description="Events of an earlier one are older than this answer.")
    stream: str | None = Field(None, description="The stream that it is a window of, or was opened for.")
    window: int | None = Field(None, description="Its number among the windows of the stream, from 1.")
    canary: float | None = Field(None, description="The share of a version on trial, while there is one.")
    opened: bool = Field(False, description="Whether the stream is new: it begins with this window.")
    begins_at: str | None = Field(None, description="Where it goes on, as `begin_at` has asked for it.")

    @property
    def message_id(self) -> str:
        return message_id("accepted", self.run_id, self.status, self.epoch)


class PipelineRegistered(Message):
    """Answers a registration that was accepted."""

    type: ClassVar[str] = "loom.pipeline.registered.v1"

    pipeline: str
    version: str

    @property
    def message_id(self) -> str:
        return message_id("registered", self.pipeline, self.version)


class Mistake(Part):
    """Describes one mistake in a request."""

    path: tuple[str | int, ...]
    found: str
    expected: str
    suggestion: str | None = None


class RunRejected(Message):
    """Answers a request that was rejected, with every mistake in it."""

    type: ClassVar[str] = "loom.run.rejected.v1"

    error: str
    mistakes: tuple[Mistake, ...] = ()

    @property
    def message_id(self) -> str:
        return message_id("rejected", self.error)


class RunEpoch(Message):
    """Tells every worker that messages of this run with a lower epoch are stale. `loom.control` / `control.all`."""

    type: ClassVar[str] = "loom.run.epoch.v1"

    run_id: str
    epoch: int
    cancelled: bool = Field(False, description="Whether the run is cancelled: batches at providers are cancelled, too.")

    @property
    def message_id(self) -> str:
        return message_id("epoch", self.run_id, self.epoch)


class EpochsAsked(Message):
    """Asks the coordinators which epochs a replica of a service has to know before it takes work:
    `worker.started.<service>`. It is asked again until it is answered."""

    type: ClassVar[str] = "loom.epochs.asked.v1"

    service: str

    @property
    def message_id(self) -> str:
        return message_id("epochs asked", self.service)


class EpochsTold(Message):
    """Answers replicas of a service that have started: messages of these runs with a lower epoch are stale.
    `loom.control` / `control.<service>`."""

    type: ClassVar[str] = "loom.epochs.told.v1"

    epochs: dict[str, int] = Field(description="The epoch of each run that may have messages of an earlier one.")

    @property
    def message_id(self) -> str:
        return message_id("epochs told", *(f"{run_id}/{epoch}" for run_id, epoch in self.epochs.items()))


class PrefetchLimit(Message):
    """Sets the prefetch limit of a queue in every replica of a service. `loom.control` / `control.<service>`.

    It is repeated every few seconds, so that replicas that start later receive it too."""

    type: ClassVar[str] = "loom.prefetch.limit.v1"

    service: str
    queue: str
    prefetch: int = Field(ge=1, le=1000)

    @property
    def message_id(self) -> str:
        return message_id("prefetch", self.queue, self.prefetch)
