"""Keeps stdout and stderr of a process of Loom usable, whatever the code in it does to them.

Code that closes `sys.stderr`, or sets it to None, would take away what Loom has to say, and its descriptor would become
that of the next file that is opened."""

from __future__ import annotations

import atexit
import contextlib
import io
import os
import sys
from typing import TextIO


class _Open(io.TextIOWrapper):
    """Represents a stream that stays open when it is closed."""

    def close(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # its reader has gone
            self.flush()


class _Notices(_Open):
    """Represents stderr: what it cannot take, because its disk is full or its reader has gone, is dropped. A run does
    not fail because of what it has to say."""

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            super().write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            super().flush()


def keep_open() -> None:
    """Replace `sys.stdout` and `sys.stderr` by streams that stay open, in this process alone. Those that the process
    was started without go nowhere; what a terminal cannot show, or is no text at all, is written with escapes."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest one that is free, which is this one
    streams = {"stdout": _opened(_Open, 1, sys.stdout), "stderr": _opened(_Notices, 2, sys.stderr)}
    for name, stream in streams.items():
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
        atexit.register(stream.close)  # Python itself writes out what `sys.stdout` holds as it ends, and no other one


def stderr() -> TextIO:
    """Return stderr, also where `sys.stderr` is none."""
    return sys.stderr or sys.__stderr__ or _opened(_Notices, 2, None)


def _opened(kind: type[_Open], descriptor: int, stream: TextIO | None) -> TextIO:
    if stream is not None:
        stream.flush()
    raw = io.FileIO(descriptor, "w", closefd=False)
    encoding = "utf-8" if stream is None else stream.encoding
    return kind(io.BufferedWriter(raw), encoding, "backslashreplace", line_buffering=descriptor == 2 or raw.isatty())
