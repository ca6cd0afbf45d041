"""Opens what has calls answered by the batches of their providers when there is something for it to do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from loom_ai.ports import Entry, ModelCall, Payer

if TYPE_CHECKING:
    from loom_ai.batches.execution import BatchExecution
    from loom_common.contracts.v1 import RunEpoch


class BatchesAtFirstUse:
    """Implements `BatchAnswers` for a process whose runs may ask for no batch. To import what answers by batches delays
    the first call of a run, and most runs ask directly."""

    def __init__(self, open_execution: Callable[[], BatchExecution]) -> None:
        """`open_execution` is called once, and opens the store of what waits for batches."""
        self._open = open_execution
        self._opened: BatchExecution | None = None

    def opened(self) -> BatchExecution:
        """Return what has calls answered by batches. It is opened where it is not yet."""
        if self._opened is None:
            self._opened = self._open()
        return self._opened

    async def obtain(
        self, key: str, call: ModelCall, payer: Payer, max_age: float | None, cut: Sequence[Entry] = ()
    ) -> ModelCall:
        return await self.opened().obtain(key, call, payer, max_age, cut)

    async def answered(self, key: str) -> None:
        await self.opened().answered(key)

    async def hear(self, said: RunEpoch) -> None:
        """Take note of a run that was paused, resumed or cancelled: an earlier process may have left batches of it at
        their provider."""
        await self.opened().hear(said)

    async def close(self) -> None:
        if self._opened is not None:
            await self._opened.close()
