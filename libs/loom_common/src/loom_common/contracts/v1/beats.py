"""Defines heartbeats: the state that every replica reports every few seconds or more often."""

from typing import ClassVar

from pydantic import Field

from loom_common.contracts.envelope import Message, Part
from loom_common.domain.values.ids import message_id
from loom_common.flow import Stage


class QueueBeat(Part):
    """Describes the state of a replica's consumer of one queue. Counts are since the start of the replica."""

    queue: str
    prefetch: int = Field(description="Most messages in flight, as it is now; 0 while it does not consume.")
    in_hand: int = Field(description="Delivered and not acknowledged.")
    handled: int
    failed: int = Field(description="Set aside: in quarantine, in `loom.dead`, or with it its run.")
    retried: int = Field(description="Sent to a retry queue.")
    attempts: int = Field(description="Times the handler ended, however it ended.")
    seconds_busy: float = Field(
        description="Time in the handler, all attempts added up; a batch counts by its records left."
    )


class BreakerBeat(Part):
    """Describes a circuit breaker that is not closed and idle."""

    upstream: str
    state: str
    failures: int = Field(description="In a row.")
    probe_in: float = Field(description="Seconds until the next probe; 0 where it is not open.")


class WorkerBeat(Message):
    """Tells the state of a replica about every two seconds: `worker.beat.<service>`."""

    type: ClassVar[str] = "loom.worker.beat.v1"

    service: str
    replica: str = Field(description="Its host, its process id and a word of chance: another after each start.")
    uptime: float = Field(description="Seconds since it started.")
    configured_prefetch: int = Field(description="What it takes at once where nobody says otherwise.")
    queues: tuple[QueueBeat, ...]
    rss_bytes: int = Field(description="Memory it holds.")
    memory_limit_bytes: int | None = Field(description="Memory it may hold; null where nothing limits it.")
    breakers: tuple[BreakerBeat, ...] = Field(description="Those that are not at rest.")
    draining: bool = Field(description="Asked to stop; it finishes what is in flight.")

    @property
    def message_id(self) -> str:
        return message_id("beat", self.replica, self.uptime)


class BatchUnderWay(Part):
    """Describes a batch that a worker is processing, and its progress."""

    run_id: str
    batch_id: str
    epoch: int
    stage: Stage
    done: int = Field(description="Records that the stage is through with.")


class WorkUnderWay(Message):
    """Tells the progress of a worker with its batches, while it changes: `worker.underway.<service>`. It is for
    display; that a batch is done is known from its fact."""

    type: ClassVar[str] = "loom.worker.underway.v1"

    service: str
    replica: str
    batches: tuple[BatchUnderWay, ...]

    @property
    def message_id(self) -> str:
        told = (f"{each.batch_id}/{each.stage}/{each.done}" for each in self.batches)
        return message_id("underway", self.replica, *told)
