"""Starts, follows and commands runs. `client.py` is a session on a bus, `embedded.py` one beside other engines of the
project, and `opening.py` opens both.

The SDK, the command line, the API and the benchmarks come in, by the names below."""

from __future__ import annotations

from loom.session.client import ANSWER_SECONDS, NOBODY, Asker, Event, Session, StreamOpened
from loom.session.embedded import EmbeddedSession
from loom.session.opening import conversation, open_session, settled_report

__all__ = [
    "ANSWER_SECONDS",
    "NOBODY",
    "Asker",
    "EmbeddedSession",
    "Event",
    "Session",
    "StreamOpened",
    "conversation",
    "open_session",
    "settled_report",
]
