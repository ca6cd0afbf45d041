"""Asks for the services of a cluster, and for what lies in its broker."""

from __future__ import annotations

import datetime as dt

from loom_api.reads.seen import SeenReads
from loom_common.errors import NotFound
from loom_common.ports.bus import Bus
from loom_coordinator.queries import (
    cluster,
    dead_letters,
    prefetch,
)
from loom_coordinator.queries.cluster import Overview, RunAdvice
from loom_coordinator.queries.dead_letters import DeadLetterLine, WholeDeadLetter
from loom_coordinator.queries.prefetch import PrefetchLimit


class ClusterReads(SeenReads):
    """Asks for a cluster's services and messages."""

    @property
    def has_cluster(self) -> bool:
        """Tell whether these are the runs of a cluster."""
        return self._bus is not None

    async def fleet(self) -> Overview:
        """Return the services and queues of the cluster. Raises `NotFound` where there is no cluster."""
        async with self._engine.connect() as connection:
            of_steps = await cluster.queues_of_steps(connection, _now())
        ready = await cluster.depths(self.broker, of_steps)
        async with self._engine.connect() as connection:
            return await cluster.overview(connection, _now(), ready)

    async def scale_advice(self) -> list[RunAdvice]:
        """Return how many transformers the runs that go on need. Raises `NotFound` where there is no cluster."""
        ready = await cluster.depths(self.broker)
        async with self._engine.connect() as connection:
            return await cluster.scale_advice(connection, _now(), ready)

    async def prefetch_limits(self) -> list[PrefetchLimit]:
        """Return the prefetch limits of the cluster's queues."""
        async with self._engine.connect() as connection:
            return await prefetch.limits(connection, _now())

    async def dead_letters(self, limit: int) -> list[DeadLetterLine]:
        """Return the oldest dead letters. Raises `NotFound` where there is no cluster."""
        async with dead_letters.taken(self.broker, limit) as letters:
            return [each.summary() for each in letters]

    async def dead_letter(self, letter_id: str) -> WholeDeadLetter:
        """Return one dead letter. Raises `NotFound`."""
        async with dead_letters.taken(self.broker) as letters:
            return dead_letters.chosen(letters, [letter_id])[0].whole()

    @property
    def broker(self) -> Bus:
        """Return the broker. Raises `NotFound` where there is no cluster."""
        if self._bus is None:
            raise NotFound(
                "There is no cluster here: this project runs embedded, without a broker. `loom serve --cluster` "
                "answers for a cluster."
            )
        return self._bus


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
