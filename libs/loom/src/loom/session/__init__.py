"""Starts, follows and commands runs. `port.py` says what an engine is, `engines.py` which there are, `client.py` is a
session on a bus, `embedded.py` one beside other engines of the project, and `opening.py` opens what a project names.

The SDK, the command line, the API and the benchmarks come in, by the names below."""

from __future__ import annotations

from loom.session.client import ANSWER_SECONDS, Session
from loom.session.conversation import conversation
from loom.session.embedded import EmbeddedSession
from loom.session.engines import Engine, Opening, open_embedded
from loom.session.opening import open_session, settled_report
from loom.session.port import NOBODY, Asker, Event, RunEngine, StreamOpened

__all__ = [
    "ANSWER_SECONDS",
    "NOBODY",
    "Asker",
    "EmbeddedSession",
    "Engine",
    "Event",
    "Opening",
    "RunEngine",
    "Session",
    "StreamOpened",
    "conversation",
    "open_embedded",
    "open_session",
    "settled_report",
]
