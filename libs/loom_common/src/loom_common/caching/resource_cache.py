"""Keeps a cache of the last connections that a worker opened."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar


class Closable(Protocol):
    """Describes something that holds a connection or a file."""

    async def close(self) -> None:
        """Release the connection or file."""
        ...


T = TypeVar("T", bound=Closable)


@dataclass(slots=True)
class _Lease(Generic[T]):
    thing: T
    users: int = 0


class ResourceCache(Generic[T]):
    """Open resources by key. Above `capacity` the least recently used one is closed, but never one in use."""

    def __init__(self, capacity: int = 8) -> None:
        self._capacity = capacity
        self._leases: OrderedDict[str, _Lease[T]] = OrderedDict()

    @asynccontextmanager
    async def of(self, key: str, open_one: Callable[[], T]) -> AsyncIterator[T]:
        """Return the resource under `key`, which is opened if necessary and stays open until the block ends."""
        if key not in self._leases:
            self._leases[key] = _Lease(open_one())
        self._leases.move_to_end(key)
        lease = self._leases[key]
        lease.users += 1
        try:
            yield lease.thing
        finally:
            lease.users -= 1
            await self._close_surplus()

    @asynccontextmanager
    async def closing(self) -> AsyncIterator[None]:
        """Close all resources when the block ends."""
        try:
            yield
        finally:
            while self._leases:
                _, lease = self._leases.popitem()
                await lease.thing.close()

    async def _close_surplus(self) -> None:
        surplus = max(0, len(self._leases) - self._capacity)
        idle = [key for key, lease in self._leases.items() if not lease.users][:surplus]
        for lease in [self._leases.pop(key) for key in idle]:
            await lease.thing.close()
