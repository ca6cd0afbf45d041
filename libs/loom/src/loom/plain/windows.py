"""Offers a stream that is followed to code that is not asynchronous."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

from loom.plain.waiting import Loop, event_loop
from loom_common.errors import ConfigurationError

if TYPE_CHECKING:
    from loom.streaming.windows import WindowStream
    from loom_common.contracts.v1 import RunReport


class PlainWindowStream:
    """Represents a stream, as `loom.streaming.windows.WindowStream` does, whose methods need not be awaited:
    `with loom.open_stream(...) as stream`, and in it `for window in stream`."""

    def __init__(self, stream: WindowStream) -> None:
        self._stream = stream
        self._held = ExitStack()
        self._running: Loop | None = None

    @property
    def stream_id(self) -> str:
        """Return the id of the stream."""
        return self._stream.stream_id

    def __enter__(self) -> PlainWindowStream:
        self._running = self._held.enter_context(event_loop())
        try:
            self._running.result_of(self._stream.open())
        except BaseException:
            self._held.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Pause an embedded stream that has not ended, and free what it held. Doing so twice has no further effect."""
        running, self._running = self._running, None
        if running is not None:
            try:
                running.result_of(self._stream.aclose())
            finally:
                self._held.close()

    def __iter__(self) -> Iterator[RunReport]:
        """Yield the report of each window as it ends. Raises as the asynchronous loop does."""
        while True:
            report = self._loop.result_of(self._stream.next())
            if report is None:
                return
            yield report

    def drain(self) -> None:
        """Let the stream end once its source has nothing more and all is loaded."""
        self._loop.result_of(self._stream.drain())

    def pause(self) -> None:
        """Stop the stream where it stands. Nothing is lost: opening it again goes on."""
        self._loop.result_of(self._stream.pause())

    def cancel(self) -> None:
        """End the stream now. What was taken and is not loaded counts as cancelled."""
        self._loop.result_of(self._stream.cancel())

    def promote(self) -> None:
        """Give the version on trial all records from the next window on."""
        self._loop.result_of(self._stream.promote())

    def rollback(self) -> None:
        """Give the version on trial no more records."""
        self._loop.result_of(self._stream.rollback())

    @property
    def _loop(self) -> Loop:
        if self._running is None:
            raise ConfigurationError("The stream is not open: write `with loom.open_stream(...) as stream:`.")
        return self._running
