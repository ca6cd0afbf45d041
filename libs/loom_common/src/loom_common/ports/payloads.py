"""Defines the port of the payload store, which holds bytes by the hash of their content. It holds plans, the bodies of
large messages, records that were given to runs, and rows that runs give back."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Protocol


class PayloadStore(Protocol):
    """Describes a durable store without eviction that all workers share."""

    async def put(self, data: bytes, *, owner: str | None = None) -> str:
        """Store `data` and return its name: the SHA-256 as 64 hexadecimal digits, behind `owner/` where it has an
        owner, which is the id of a run or of a set of records.

        Storing the same data twice has no further effect."""
        ...

    async def put_first(self, data: bytes, *, owner: str, name: str) -> bytes:
        """Store `data` of an owner as `owner/name`, unless there is some under this name: the first counts. Return what
        is stored."""
        ...

    async def get(self, name: str) -> bytes:
        """Return the data with that name. Raises `KeyError` where there is none, and `DependencyUnavailable`."""
        ...

    async def owners(self) -> Mapping[str, dt.datetime]:
        """Return the owners of data here, and when each last got new data."""
        ...

    async def names(self, owner: str) -> Sequence[str]:
        """Return the names of all data of an owner, as `get` takes them, in no order."""
        ...

    async def forget(self, owner: str) -> None:
        """Delete the data of an owner. Data without an owner, such as plans, is kept."""
        ...

    async def close(self) -> None:
        """Close the connections to the store. What was put stays."""
        ...
