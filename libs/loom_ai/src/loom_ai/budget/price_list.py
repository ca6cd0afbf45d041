"""Loads the price list in a thread while the first answers are awaited."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from loom_ai.budget.prices import Prices, Tokens
from loom_ai.ports import ModelCall
from loom_common.domain.model_options.pricing import ModelPrice

Own = Mapping[str, ModelPrice] | None
"""Says what the pipeline says models cost."""
_SENT_SECONDS = 0.1
"""Seconds after which the first calls of most processes are on their way. Before that, their client is imported, and
what is imported beside it makes them later."""


class PriceList:
    """Represents the list of one process. To load it takes as long as some models take for an answer."""

    def __init__(self, prices: Prices) -> None:
        self._prices = prices
        self._due: asyncio.TimerHandle | None = None
        self._loading: asyncio.Task[object] | None = None

    def soon(self, call: ModelCall, own: Own) -> None:
        """Have the list loaded a moment after the first call, in which that call is sent."""
        if self._due is None:
            self._due = asyncio.get_running_loop().call_later(_SENT_SECONDS, self._load, call, own)

    async def loaded(self, call: ModelCall, own: Own) -> None:
        """Wait until the list is loaded, so that a call can be priced at once. Raises what stopped it."""
        loading = self._load(call, own)
        if not loading.done():
            await asyncio.shield(loading)

    async def close(self) -> None:
        """Load the list no more, and wait for the thread that does."""
        if self._due is not None:
            self._due.cancel()
        if self._loading is not None:
            await asyncio.gather(self._loading, return_exceptions=True)

    def _load(self, call: ModelCall, own: Own) -> asyncio.Task[object]:
        if self._loading is None:
            self._loading = asyncio.create_task(asyncio.to_thread(self._prices.quote, call, Tokens(), own))
        return self._loading
