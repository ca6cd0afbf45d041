"""Sees which records an embedded run settles, in what its services publish.

Nothing new is told between the services for it. A batch on its way to the loader holds the records that passed, with
outputs and scores; the fact that it is loaded settles them, but for those that the loader itself kept back. A record
that a stage keeps back is settled by the message that takes it to the quarantine.

A message is published once its records are handed over. So a run waits for whoever takes them: its batches stay
unacknowledged, and it reads no more of its source than its window allows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

from cachetools import LRUCache

from loom.streaming.settled import Record, kept_back, validated
from loom_common.adapters.wrapped.wrapped_bus import WrappedBus
from loom_common.contracts.encoding.codec import decode
from loom_common.contracts.envelope import Message
from loom_common.contracts.v1 import BatchEvaluated, BatchFact, RecordsQuarantined
from loom_common.flow import Stage
from loom_common.ports.bus import Bus, Delivery, Wire
from loom_common.sealed_stages.batches import opened_batch
from loom_common.sealing.sealer import Sealer

_SETTLED = 10_000
"""The number of messages that are known again. Only batches in flight are ever published again, which are fewer."""

HandOver = Callable[[Sequence[Record]], Awaitable[None]]


class SettlingBus(WrappedBus):
    """Hands over the records that are settled by what is published."""

    def __init__(self, bus: Bus, hand_over: HandOver, sealer: Sealer | None) -> None:
        """`sealer` opens the records of a pipeline with sensitive fields; None for another one."""
        super().__init__(bus)
        self._hand_over = hand_over
        self._sealer = sealer
        self._to_load: dict[str, BatchEvaluated] = {}
        self._settled: LRUCache[str, bool] = LRUCache(_SETTLED)

    async def publish(self, messages: Sequence[Wire]) -> None:
        kept: set[str] = set()
        for wire in messages:
            if wire.type == BatchEvaluated.type:
                batch = cast("BatchEvaluated", _decoded(wire))
                self._to_load[batch.header.batch_id] = batch
            elif wire.type == RecordsQuarantined.type:
                quarantined = cast("RecordsQuarantined", _decoded(wire))
                kept.update(each.record_id for each in quarantined.records)
                if self._is_new(quarantined):
                    await self._hand_over([self._kept(each, quarantined.stage) for each in quarantined.records])
            elif wire.type == BatchFact.type and wire.routing_key.startswith(f"batch.{Stage.LOAD.done}."):
                await self._loaded(wire, kept)
        await self._bus.publish(messages)

    async def _loaded(self, wire: Wire, kept: set[str]) -> None:
        """Hand over the records of a batch that is loaded, but for those that were `kept` back."""
        fact = cast("BatchFact", _decoded(wire))
        batch = self._to_load.pop(fact.header.batch_id, None)
        if batch is None or not self._is_new(fact):
            return
        opened = batch if self._sealer is None else opened_batch(batch, self._sealer)
        records = cast("BatchEvaluated", opened).records
        await self._hand_over([validated(each) for each in records if each.id not in kept])

    def _kept(self, record: Any, stage: Stage) -> Record:
        if self._sealer is not None:
            opened = {name: self._sealer.opened(getattr(record, name)) for name in ("input", "output")}
            record = record.model_copy(update=opened)
        return kept_back(record, stage)

    def _is_new(self, message: Message) -> bool:
        """Tell whether a message is published for the first time. Its id follows from its batch and its stage; what
        takes it along has none where the message is handed over."""
        if message.message_id in self._settled:
            return False
        self._settled[message.message_id] = True
        return True


def _decoded(wire: Wire) -> Any:
    return decode(cast("Delivery", wire))
