"""Implements a broker in this process: exchanges, bindings and queues, which its buses share."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from loom_common.adapters.bus_errors import no_exchange, topology_missing
from loom_common.adapters.memory.queue import Entry, MemoryQueue
from loom_common.adapters.memory.topics import matches
from loom_common.flow import Binding, Exchange, Queue, Topology
from loom_common.ports.bus import Wire
from loom_common.ports.clock import Clock, SystemClock

ROUTES_KEPT = 10_000
"""The most routing keys whose queues are cached. Above it, the cache is emptied."""


class MemoryBroker:
    """Holds every message of the process. Queues outlive the buses; temporary queues end with theirs."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._exchanges: set[str] = set()
        self._queues: dict[str, MemoryQueue] = {}
        self._bindings: dict[str, dict[tuple[str, str], None]] = {}
        self._routes: dict[tuple[str, str], tuple[MemoryQueue, ...]] = {}
        self._timers: dict[str, asyncio.Task[None]] = {}
        self._connections = 0

    def connect(self) -> None:
        """Connect a bus. The first one starts the timers of the retry queues."""
        self._connections += 1
        for queue in self._queues.values():
            self._watch(queue)

    def disconnect(self, temporary: Iterable[str]) -> None:
        """Disconnect a bus and delete its temporary queues. The last one stops the timers."""
        for name in temporary:
            self._queues.pop(name, None)
            for bound in self._bindings.values():
                for pair in [pair for pair in bound if pair[1] == name]:
                    del bound[pair]
        self._routes.clear()
        self._connections -= 1
        if not self._connections:
            for timer in self._timers.values():
                timer.cancel()
            self._timers.clear()

    def declare(self, topology: Topology) -> None:
        """Create the queues that do not exist."""
        self._exchanges.update(topology.exchanges)
        for queue in topology.queues:
            self.add_queue(queue)

    def add_queue(self, queue: Queue) -> None:
        """Create the queue if it does not exist, and its bindings."""
        if queue.name not in self._queues:
            buried = queue.ttl is None and all(binding.exchange != Exchange.DEAD for binding in queue.bindings)
            self._queues[queue.name] = MemoryQueue(
                queue.name, ttl=queue.ttl, returns_to=queue.returns_to, bury=self._bury if buried else None
            )
        self.bind(queue.name, queue.bindings)

    def bind(self, name: str, bindings: Iterable[Binding]) -> None:
        """Bind the queue. Raises `TopologyMissing` for an exchange that does not exist."""
        for binding in bindings:
            if binding.exchange not in self._exchanges:
                raise topology_missing("The bus in this process", [binding.exchange], [])
            self._bindings.setdefault(binding.exchange, {})[binding.pattern, name] = None
        self._routes.clear()

    def check(self, topology: Topology) -> None:
        """Raise `TopologyMissing`, naming everything that does not exist."""
        exchanges = [name for name in topology.exchanges if name not in self._exchanges]
        queues = [queue.name for queue in topology.queues if queue.name not in self._queues]
        if exchanges or queues:
            raise topology_missing("The bus in this process", exchanges, queues)

    def queue(self, name: str) -> MemoryQueue:
        """Return the queue with that name. Raises `TopologyMissing`."""
        queue = self._queues.get(name)
        if queue is None:
            raise topology_missing("The bus in this process", [], [name])
        return queue

    def publish(self, wire: Wire) -> bool:
        """Put the message into every queue that it is routed to. Returns False where there is none. Raises
        `Unroutable`."""
        queues = self._routes.get((wire.exchange, wire.routing_key))
        if queues is None:
            queues = self._route(wire.exchange, wire.routing_key)
        for queue in queues:
            self._push(queue, Entry(wire, wire.exchange, wire.routing_key))
        return bool(queues)

    def _route(self, exchange: str, key: str) -> tuple[MemoryQueue, ...]:
        if not exchange:
            names = {key} if key in self._queues else set()
        elif exchange in self._exchanges:
            names = {name for pattern, name in self._bindings.get(exchange, ()) if matches(pattern, key)}
        else:
            raise no_exchange(exchange, key)
        if len(self._routes) >= ROUTES_KEPT:
            self._routes.clear()
        queues = tuple(self._queues[name] for name in sorted(names))
        self._routes[exchange, key] = queues
        return queues

    def _push(self, queue: MemoryQueue, entry: Entry) -> None:
        if queue.ttl is None:
            queue.push(entry)
            return
        entry.due = self._clock.monotonic() + queue.ttl
        queue.push(entry)
        self._watch(queue)

    def _bury(self, entry: Entry) -> None:
        for queue in self._route(Exchange.DEAD, entry.routing_key) if Exchange.DEAD in self._exchanges else ():
            self._push(queue, Entry(entry.wire, Exchange.DEAD, entry.routing_key))

    def _watch(self, queue: MemoryQueue) -> None:
        if queue.ttl is not None and len(queue) and queue.name not in self._timers:
            self._timers[queue.name] = asyncio.create_task(self._release(queue), name=f"retry queue {queue.name}")

    async def _release(self, queue: MemoryQueue) -> None:
        """Return the messages of a retry queue when their time is over. It ends when the queue is empty."""
        while (due := queue.next_due()) is not None:
            await self._clock.sleep(max(0.0, due - self._clock.monotonic()))
            while (entry := queue.pop_due(self._clock.monotonic())) is not None:
                home = self._queues.get(queue.returns_to or "")
                if home is not None:
                    self._push(home, Entry(entry.wire, "", home.name))
        del self._timers[queue.name]
