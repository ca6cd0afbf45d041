"""Says which recorder answers, if one does. Every engine asks, and few have one: only these import it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from loom_ai.ports import ModelClient

if TYPE_CHECKING:
    from loom_ai.recordings.recorder import Recorder

_current: ContextVar[Recorder | None] = ContextVar("recorder", default=None)


@contextmanager
def using(recorder: Recorder) -> Iterator[None]:
    """Let the services that are started within the block answer through `recorder`."""
    token = _current.set(recorder)
    try:
        yield
    finally:
        _current.reset(token)


def answers_are_recorded() -> bool:
    """Tell whether a recorder is in use."""
    return _current.get() is not None


def through_recorder(client: ModelClient) -> ModelClient:
    """Return a client that answers through the recorder in use, where there is one; else `client` itself."""
    if (recorder := _current.get()) is None:
        return client
    from loom_ai.recordings.recorder import RecordedClient

    return RecordedClient(recorder, client)
