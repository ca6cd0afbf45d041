"""Lends connections to one server to visits in threads, each connection to one visit at a time."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

C = TypeVar("C")
K = TypeVar("K", bound=Hashable)


class LentConnections(Generic[K, C]):
    """Keeps the connections that nobody uses, by what they were opened with."""

    def __init__(self, opened: Callable[[K], C], close: Callable[[C], None]) -> None:
        """`opened` opens a connection, and `close` closes one, which may be lost already."""
        self._opened = opened
        self._close = close
        self._lock = threading.Lock()
        self._free: dict[K, list[C]] = defaultdict(list)
        self._closed = 0
        """Says how often all were closed: a visit that was cancelled may give its connection back later."""

    @contextmanager
    def lent(self, kind: K) -> Iterator[C]:
        """Lend a connection of this kind, which is opened where none is free. After an error it is closed: nobody
        should be given what is left of it. Raises what `opened` raises."""
        with self._lock:
            kept = self._free[kind]
            connection = kept.pop() if kept else None
            closed = self._closed
        if connection is None:
            connection = self._opened(kind)
        try:
            yield connection
        except BaseException:
            self._close(connection)
            raise
        with self._lock:
            keep = closed == self._closed
            if keep:
                self._free[kind].append(connection)
        if not keep:
            self._close(connection)

    def close(self) -> None:
        """Close the connections that nobody uses. Those that are lent are closed when they are given back."""
        with self._lock:
            connections = [each for kept in self._free.values() for each in kept]
            self._free.clear()
            self._closed += 1
        for connection in connections:
            self._close(connection)
