"""Defines what traces are to Loom: spans of the messages and model calls of a run.

Nothing is recorded unless a tracer is in use."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Protocol

Attributes = Mapping[str, str | int | float | bool | tuple[str, ...]]
TRACEPARENT = "traceparent"
"""The header of a message that says which span it was sent in (W3C Trace Context)."""


@dataclass(frozen=True, slots=True)
class RunEnd:
    """Describes a run that has ended."""

    run_id: str
    pipeline: str
    status: str
    started_at: dt.datetime
    ended_at: dt.datetime
    replay_of: str | None


@dataclass(frozen=True, slots=True)
class SpanReference:
    """Names a span that is recorded, in hexadecimal, so that a metric can point to it."""

    trace_id: str
    span_id: str


class Span(Protocol):
    """Represents something that takes time."""

    def set(self, attributes: Callable[[], Attributes]) -> None:
        """Set attributes, which hold no payload and no secret. They are made only where they are recorded."""
        ...

    def fail(self, error: BaseException) -> None:
        """Say that it failed, by the error's type alone: its text may hold a payload."""
        ...


class Tracer(Protocol):
    """Records the spans of this process, and says which of them a message is sent in."""

    def consumed(
        self, name: str, run_id: str, headers: Mapping[str, object], attributes: Callable[[], Attributes]
    ) -> AbstractContextManager[Span]:
        """Record the handling of a message of a run, below the span that it was sent in. Attributes are made only where
        they are recorded."""
        ...

    def called(self, name: str, attributes: Callable[[], Attributes]) -> AbstractContextManager[Span]:
        """Record a request to another system, below the span that is current. Attributes are made only where they are
        recorded."""
        ...

    def together(self, name: str, headers: Iterable[Mapping[str, object]]) -> AbstractContextManager[Span]:
        """Record the handling of messages of any runs together, with links to the spans that they were sent in."""
        ...

    def failed(self, error: BaseException) -> None:
        """Say that the current span failed, though it goes on."""
        ...

    def traceparent(self, run_id: str) -> str | None:
        """Return the header of a message of the run that is sent now: the current span where it is the run's, else the
        span of the run."""
        ...

    def reference(self, run_id: str) -> SpanReference | None:
        """Return the span that `traceparent` names, for the exemplar of a metric; None where the run is not
        recorded."""
        ...

    def run_ended(self, run: RunEnd) -> None:
        """Record the span of a whole run."""
        ...


class _NoSpan:
    def set(self, attributes: Callable[[], Attributes]) -> None:
        """Do nothing: no span is recorded."""

    def fail(self, error: BaseException) -> None:
        """Do nothing: no span is recorded."""


_NO_SPAN: AbstractContextManager[Span] = nullcontext(_NoSpan())


class NoTracer:
    """Serves where no tracing is configured: it records nothing."""

    def consumed(
        self, name: str, run_id: str, headers: Mapping[str, object], attributes: Callable[[], Attributes]
    ) -> AbstractContextManager[Span]:
        """Record nothing; so do the others."""
        return _NO_SPAN

    def called(self, name: str, attributes: Callable[[], Attributes]) -> AbstractContextManager[Span]:
        return _NO_SPAN

    def together(self, name: str, headers: Iterable[Mapping[str, object]]) -> AbstractContextManager[Span]:
        return _NO_SPAN

    def failed(self, error: BaseException) -> None: ...

    def traceparent(self, run_id: str) -> str | None:
        return None

    def reference(self, run_id: str) -> SpanReference | None:
        return None

    def run_ended(self, run: RunEnd) -> None: ...


_current: Tracer = NoTracer()


def tracer() -> Tracer:
    """Return the tracer of this process."""
    return _current


@contextmanager
def using(new: Tracer) -> Iterator[None]:
    """Let the process record its spans with `new` until the end of the block."""
    global _current  # noqa: PLW0603 - spans are recorded where messages are encoded and models asked, far from each other
    before, _current = _current, new
    try:
        yield
    finally:
        _current = before
