"""Translates the system's errors about files into errors with a remedy."""

from __future__ import annotations

import errno

from loom_common.errors import StateUnusable

_ROOM = "Free space on its disk."
_RIGHTS = "Let the user who runs Loom write there, or run Loom where it may."
_KIND = "Something of another kind stands in its place: move that away."
_REMEDIES = {
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EFBIG: _ROOM,
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.EROFS: _RIGHTS,
    errno.ENOENT: "See that the path is right, and that folders can be made there.",
    errno.EEXIST: _KIND,
    errno.ENOTDIR: _KIND,
    errno.EISDIR: _KIND,
    errno.EIO: "See that its disk is sound.",
}


def told(error: BaseException) -> str | None:
    """Return a sentence about a file or folder that cannot be used, with the remedy; None for any other error."""
    if not isinstance(error, OSError) or error.filename is None or (error.errno or 0) not in _REMEDIES:
        return None
    return f"{error.filename}: {(error.strerror or str(error)).lower()}. {_REMEDIES[error.errno or 0]}"


def unusable(place: str, error: OSError) -> StateUnusable | None:
    """Return the error of a file or folder that cannot be used, with the cause and the remedy; None for any other
    error."""
    remedy = _REMEDIES.get(error.errno or 0)
    if remedy is None:
        return None
    words = (error.strerror or str(error)).lower()
    return StateUnusable(f"{error.filename or place}: {words}. {remedy} What was done is kept: `loom resume` goes on.")
