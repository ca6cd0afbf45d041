"""Says of a window of a stream where it began, if somebody has named that, and what came again in it."""

from __future__ import annotations

from typing import Protocol

from loom_common.domain.values.plural import counted


class Began(Protocol):
    """Says where a window began, as `BeganAt` of a report does."""

    @property
    def asked(self) -> str: ...

    @property
    def place(self) -> str: ...

    @property
    def was(self) -> str | None: ...

    @property
    def back(self) -> bool: ...

    @property
    def again(self) -> bool: ...

    @property
    def requested_by(self) -> str | None: ...


class Window(Protocol):
    """Describes a window of a stream, as `StreamWindow` of a report does."""

    @property
    def known(self) -> int: ...

    @property
    def began_at(self) -> Began | None: ...


def window_notes(window: Window | None) -> list[str]:
    """Return sentences on a window, without a full stop; none of a window of which there is nothing to say. Pure."""
    if window is None:
        return []
    known = f"{counted(window.known, 'message')} came again and {'was' if window.known == 1 else 'were'} left out"
    return [*([] if window.began_at is None else [_began(window.began_at)]), *([known] if window.known else [])]


def _began(at: Began) -> str:
    by = "" if at.requested_by is None else f" by {at.requested_by}"
    if at.was is None:
        what = ""
    elif at.back:
        what = f"; it was at {at.was}, and what had been taken {'is taken' if at.again else 'comes'} again"
    else:
        what = f"; what lies between {at.was} and that is left out"
    return f"began at {at.place} (--from {at.asked}{by}){what}"
