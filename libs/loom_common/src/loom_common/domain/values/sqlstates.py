"""Classifies a database's errors by SQLSTATE (PostgreSQL manual, appendix A). It does no I/O."""

from __future__ import annotations

PASSING = ("08", "40", "53", "55P03", "57", "58")
"""Prefixes of transient errors: broken connections, conflicts of transactions, lack of resources, lock timeouts, starts
and stops of the server, ended sessions and system errors."""


def sqlstate(error: BaseException) -> str:
    """Return the SQLSTATE of a driver's error, or of an error that wraps one; empty where it has none."""
    cause = getattr(error, "orig", None) or error
    return str(getattr(cause, "sqlstate", None) or "")


def passes(error: BaseException) -> bool:
    """Say whether the same statement may succeed later, because the error is the server's."""
    return sqlstate(error).startswith(PASSING)
