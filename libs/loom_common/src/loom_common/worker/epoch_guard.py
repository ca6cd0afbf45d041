"""Drops stale messages. Cancel, pause and resume raise a run's epoch; what belongs to a lower one is dropped."""

from __future__ import annotations

from cachetools import LRUCache

from loom_common.contracts.encoding.codec import epoch_of
from loom_common.contracts.envelope import Message
from loom_common.contracts.v1 import RunEpoch

_REMEMBERED_RUNS = 10_000


class EpochGuard:
    """Keeps the highest epoch seen of every run. Knows by what the coordinator answers when the replica starts, by its
    broadcast, and by the messages themselves.

    A replica that missed a broadcast does stale work until it is told again, within seconds; that costs calls, and is
    otherwise harmless: ids are derived and the load is ledgered."""

    def __init__(self) -> None:
        self._epochs: LRUCache[str, int] = LRUCache(_REMEMBERED_RUNS)

    def learn(self, run_id: str, epoch: int) -> None:
        """Take note of an epoch."""
        self._epochs[run_id] = max(epoch, self._epochs.get(run_id, 0))

    def stale(self, message: Message) -> bool:
        """Tell whether a newer epoch of the message's run is known."""
        epoch = epoch_of(message)
        if epoch is None or not message.correlation_id:
            return False
        known = self._epochs.get(message.correlation_id, 0)
        if epoch > known:
            self.learn(message.correlation_id, epoch)
        return epoch < known

    async def hear(self, said: RunEpoch) -> None:
        """Take note of what the coordinator broadcasts."""
        self.learn(said.run_id, said.epoch)
