"""Stdout is for a command's result alone: what anything else writes there goes to stderr.

While a command runs, its result has a stream of its own. `print` in the user's code, a library in C that writes to
descriptor 1, and programs that the user's code starts find stderr in stdout's place."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import typer
from typer.core import TyperCommand

from loom_common.errors import DestinationError
from loom_common.expectations import expectation
from loom_common.service import standard_streams

_own: TextIO | None = None
_for_good = False


def stream() -> TextIO:
    """Return the stream that a command's result goes to."""
    return _own or sys.stdout


def keep_apart_for_good() -> None:
    """Say that this process is the command line's own. Descriptor 1 then stays with stderr once a command has begun,
    also for what a C library writes as the process ends."""
    global _for_good  # noqa: PLW0603 - of the process, as its descriptors are
    _for_good = True


def refused() -> DestinationError | None:
    """Return the error of a stdout that does not take what was written to it before a command began, such as help. What
    is left of it then goes nowhere, so that Python does not write it again as the process ends. None where all is
    written, or a command has begun."""
    if _own is not None:
        return None
    try:
        with _told_plainly():
            sys.stdout.flush()
    except BrokenPipeError:
        return None
    except DestinationError as error:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
        return error
    return None


@contextmanager
def kept_apart() -> Iterator[None]:
    """Give the result a stream of its own, and send all other output to stdout to stderr."""
    global _own  # noqa: PLW0603 - a process has one
    before, others = (_own, sys.stdout), standard_streams.stderr()
    before[1].flush()
    _own = _with_its_own_descriptor(before[1]) if _for_good else before[1]
    sys.stdout = others
    try:
        yield
    finally:
        if _for_good:
            with contextlib.suppress(BrokenPipeError):  # its reader has closed it
                _own.flush()
        else:
            _own, sys.stdout = before


class _Result(io.TextIOWrapper):
    """Represents stdout as the place of a command's result."""

    def write(self, text: str) -> int:
        with _told_plainly():
            return super().write(text)

    def flush(self) -> None:
        with _told_plainly():
            super().flush()

    def close(self) -> None:
        with contextlib.suppress(OSError, DestinationError):  # told already
            super().close()


@contextmanager
def _told_plainly() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        why = error.strerror or str(error)
        raise DestinationError(
            f"The result cannot be written to stdout: {why}. What the command did is done; `loom status` shows a run."
        ) from error


def _with_its_own_descriptor(out: TextIO) -> TextIO:
    # Programs that are started do not inherit this descriptor.
    raw = io.FileIO(os.dup(out.fileno()), "w")
    own = _Result(io.BufferedWriter(raw), out.encoding, out.errors, line_buffering=raw.isatty())
    try:
        os.dup2(2, out.fileno())
    except OSError:  # stderr is closed: what others write goes nowhere
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, out.fileno())
        os.close(nowhere)
    return own


class _Command(TyperCommand):
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except typer.BadParameter as error:
            of_value = error.message.startswith("Input should be")  # says pydantic, which Typer asks
            error.message = f"{'expected ' if of_value else ''}{expectation(error.message)}"
            raise

    def invoke(self, ctx: Any) -> Any:
        with kept_apart():
            return super().invoke(ctx)


class App(typer.Typer):
    """Represents an application whose commands have stdout for their results alone. Help is printed before a command
    begins."""

    def command(self, name: str | None = None, **settings: Any) -> Callable[..., Any]:
        """Register a command, as Typer's `command` does."""
        return super().command(name, **{"cls": _Command, **settings})
