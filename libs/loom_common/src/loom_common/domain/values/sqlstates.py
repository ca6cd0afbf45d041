"""What the SQLSTATE of a database's error says (PostgreSQL manual, appendix A). Pure."""

from __future__ import annotations

PASSING = ("08", "40", "53", "55P03", "57", "58")
"""Time heals it: the connection is broken, transactions stood in each other's way, the server lacks room, a lock was
not had in time, the server starts, stops or ended the session, its disk failed."""


def sqlstate(error: BaseException) -> str:
    """Of a driver's error, or of the one that another layer wrapped; empty where it has none."""
    cause = getattr(error, "orig", None) or error
    return str(getattr(cause, "sqlstate", None) or "")


def passes(error: BaseException) -> bool:
    """Whether the same may succeed later, because the trouble is the server's and not what it was asked."""
    return sqlstate(error).startswith(PASSING)
