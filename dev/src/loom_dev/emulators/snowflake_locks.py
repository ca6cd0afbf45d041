"""Gives one session at a time the right to change rows of a schema, as the locks of Snowflake do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

ABANDONED_SECONDS = 5.0
"""Says how long a transaction may be idle while another one waits for its lock. Snowflake gives it five minutes."""
WAIT_SECONDS = 20.0


class Late(Exception):
    """A lock was not released in time, or was taken away because its transaction was idle."""


@dataclass
class _Holder:
    session: int
    undo: Callable[[], object]
    idle_since: float | None = None


@dataclass
class Locks:
    """Holds the locks of all schemas. A session is a number."""

    _changed: threading.Condition = field(default_factory=threading.Condition)
    _holders: dict[str, _Holder] = field(default_factory=dict)
    _undone: set[int] = field(default_factory=set)

    def begin(self, session: int) -> None:
        """Say that a session runs a statement. Raises `Late` where its transaction was undone meanwhile."""
        with self._changed:
            for each in self._holders.values():
                if each.session == session:
                    each.idle_since = None
            if session in self._undone:
                raise Late

    def end(self, session: int, *, transaction: bool) -> None:
        """Say that a session has run a statement; with `transaction`, that this ended its transaction."""
        with self._changed:
            if transaction:
                self._undone.discard(session)
            for schema, each in list(self._holders.items()):
                if each.session == session and transaction:
                    del self._holders[schema]
                elif each.session == session:
                    each.idle_since = time.monotonic()
            self._changed.notify_all()

    def take(self, schema: str, session: int, undo: Callable[[], object]) -> None:
        """Wait for the lock of a schema. `undo` is called where it is taken away. Raises `Late`."""
        until = time.monotonic() + WAIT_SECONDS
        with self._changed:
            while (holder := self._holders.get(schema)) is not None and holder.session != session:
                now = time.monotonic()
                if holder.idle_since is not None and now - holder.idle_since > ABANDONED_SECONDS:
                    holder.undo()
                    self._undone.add(holder.session)
                    break
                if now > until:
                    raise Late
                self._changed.wait(0.2)
            self._holders[schema] = _Holder(session, undo)
