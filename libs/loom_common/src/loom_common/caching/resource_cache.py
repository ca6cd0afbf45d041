"""Keeps a cache of the last connections that a worker opened."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, Protocol, TypeVar
from weakref import WeakValueDictionary

from loom_common.config.credentials import Credentials
from loom_common.errors import AccessRefused, CredentialReplaced, MissingCredential


class Closable(Protocol):
    """Describes something that holds a connection or a file."""

    async def close(self) -> None:
        """Release the connection or file."""
        ...


T = TypeVar("T", bound=Closable)


@dataclass(slots=True)
class _Lease(Generic[T]):
    thing: T
    opened_with: int
    """A hash of the secrets that the resource was opened with."""
    users: int = 0
    refused: bool = False


class ResourceCache(Generic[T]):
    """Open resources by key. Above `capacity` the least recently used one is closed, but never one in use."""

    def __init__(self, capacity: int = 8, credentials: Credentials | None = None) -> None:
        self._capacity = capacity
        self._credentials = credentials or Credentials()
        self._leases: OrderedDict[str, _Lease[T]] = OrderedDict()
        self._openings: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def of(self, key: str, open_one: Callable[[], T | Awaitable[T]], locations: Sequence[str] = ()) -> _Lent[T]:
        """Lend the resource under `key` to a block. It is opened if necessary, and stays open until the block ends.
        Those who need one that takes a while to be opened wait for each other. `locations` are the texts
        whose credentials it is opened with.

        Where the block ends with `AccessRefused`, the credentials are looked up anew and the resource is not used
        again. Raises `CredentialReplaced` instead where they are others now, so that a changed password needs no
        restart."""
        return _Lent(self, key, open_one, locations)

    async def lend(self, key: str, open_one: Callable[[], T | Awaitable[T]], locations: Sequence[str]) -> _Lease[T]:
        """Return the lease of the resource under `key`, with one user more, who gives it back by `take_back`."""
        lease = self._leases.get(key)
        if lease is None:
            await self._credentials.fetch(*locations)
            async with self._openings.setdefault(key, asyncio.Lock()):
                if key not in self._leases:  # nobody else opened it meanwhile
                    secrets, opened = self._secrets_of(locations), open_one()
                    thing = await opened if isinstance(opened, Awaitable) else opened
                    self._leases[key] = _Lease(thing, secrets)
            lease = self._leases[key]
        self._leases.move_to_end(key)
        lease.users += 1
        return lease

    def __contains__(self, key: str) -> bool:
        """Tell whether a resource is open under `key`."""
        return key in self._leases

    async def discard(self, key: str) -> None:
        """Have the next one who asks for `key` get a resource that is opened anew. Who uses this one goes on with
        it."""
        lease = self._leases.pop(key, None)
        if lease is None:
            return
        lease.refused = True
        if not lease.users:
            await lease.thing.close()

    async def take_back(
        self, lease: _Lease[T], key: str, locations: Sequence[str], error: BaseException | None
    ) -> None:
        """Take a lease back, whose user ended with `error`. Raises `CredentialReplaced`, as `of` says."""
        try:
            if isinstance(error, AccessRefused):
                await self._refused(lease, key, locations, error)
        finally:
            lease.users -= 1
            if lease.refused and not lease.users:
                await lease.thing.close()
            if len(self._leases) > self._capacity:
                await self._close_surplus()

    async def _refused(self, lease: _Lease[T], key: str, locations: Sequence[str], error: AccessRefused) -> None:
        lease.refused = True
        if self._leases.get(key) is lease:
            del self._leases[key]
        await self._credentials.fetch_anew(*locations)
        if self._secrets_of(locations) != lease.opened_with:
            raise CredentialReplaced(
                f"{error} The credential was changed since; the next attempt uses the new one."
            ) from error

    @asynccontextmanager
    async def closing(self) -> AsyncIterator[None]:
        """Close all resources when the block ends."""
        try:
            yield
        finally:
            while self._leases:
                _, lease = self._leases.popitem()
                await lease.thing.close()

    def _secrets_of(self, locations: Sequence[str]) -> int:
        """Return a hash of the secrets in these texts, by which a change is seen. What is missing here is missing."""
        found: list[str] = []
        for location in locations:
            try:
                found.append(self._credentials.expand(location))
            except MissingCredential:
                found.append(location)
        return hash(tuple(found))

    async def _close_surplus(self) -> None:
        surplus = len(self._leases) - self._capacity
        idle = [key for key, lease in self._leases.items() if not lease.users][:surplus]
        for lease in [self._leases.pop(key) for key in idle]:
            await lease.thing.close()


class _Lent(Generic[T]):
    """Lends a resource to a block, as `ResourceCache.of` says. It is a class, because every batch passes it, and a
    generator takes longer."""

    __slots__ = ("_cache", "_key", "_lease", "_locations", "_open_one")
    _lease: _Lease[T]

    def __init__(
        self,
        cache: ResourceCache[T],
        key: str,
        open_one: Callable[[], T | Awaitable[T]],
        locations: Sequence[str],
    ) -> None:
        self._cache = cache
        self._key = key
        self._open_one = open_one
        self._locations = locations

    async def __aenter__(self) -> T:
        self._lease = await self._cache.lend(self._key, self._open_one, self._locations)
        return self._lease.thing

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._cache.take_back(self._lease, self._key, self._locations, error)
