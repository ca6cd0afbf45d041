"""Opens the journal that a URL names, and the stores that lie beside it.

The URL is `sqlite:///path`, `postgresql://...`, `redis://...` or `memory://`; a relative path of SQLite starts at the
`folder`. Each function raises `ConfigurationError` for another. Nothing connects before the first use."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from loom_ai.pacing.fallback import FallingBack
from loom_common.domain.values.urls import redacted
from loom_common.errors import ConfigurationError

if TYPE_CHECKING:
    from loom_ai.journal.claims import Claims
    from loom_ai.pacing.buckets import Buckets
    from loom_ai.ports import Journal
    from loom_common.async_engine import AsyncEngine
    from loom_common.ports.marks import Marks


def open_journal(url: str, folder: Path | None = None) -> Journal:
    """Open the journal that the URL names. `folder` is where a relative path of a file begins."""
    match _kind(url):
        case "memory":
            from loom_ai.stores.memory.journal import MemoryJournal

            return MemoryJournal()
        case "redis":
            from loom_ai.stores.redis.journal import RedisJournal

            return RedisJournal(url)
        case _:
            from loom_ai.stores.sql.journal import SqlJournal

            return SqlJournal(*_database(url, folder))


def open_buckets(url: str, folder: Path | None = None) -> Buckets | None:
    """Open the store of the limits that all workers share; None where each has its own."""
    match _kind(url):
        case "memory":
            return None
        case "redis":
            from loom_ai.stores.redis.buckets import RedisBuckets

            return FallingBack(RedisBuckets(url))
        case _:
            from loom_ai.stores.sql.buckets import SqlBuckets

            return FallingBack(SqlBuckets(*_database(url, folder)))


def open_claims(url: str) -> Claims | None:
    """Open the store by which the processes of a fleet agree on who asks; None where the journal is one process's
    own."""
    match _kind(url):
        case "memory" | "sqlite":
            return None
        case "redis":
            from loom_ai.stores.redis.claims import RedisClaims

            return RedisClaims(url)
        case _:
            from loom_ai.stores.sql.claims import SqlClaims

            return SqlClaims(*_database(url))


def open_marks(url: str, folder: Path | None = None) -> Marks:
    """Open the marks of batches that took their process down."""
    match _kind(url):
        case "memory":
            from loom_ai.stores.memory.marks import MemoryMarks

            return MemoryMarks()
        case "redis":
            from loom_ai.stores.redis.marks import RedisMarks

            return RedisMarks(url)
        case _:
            from loom_ai.stores.sql.marks import SqlMarks

            return SqlMarks(*_database(url, folder))


def _kind(url: str) -> str:
    """Return `memory`, `sqlite`, `postgres` or `redis`."""
    match scheme := url.split(":", 1)[0]:
        case "memory" | "sqlite" | "postgres" | "redis":
            return scheme
        case "postgresql":
            return "postgres"
        case "rediss":
            return "redis"
        case _:
            raise ConfigurationError(
                f"The journal's address begins with '{scheme}:'; expected sqlite:///, postgresql://, redis:// or "
                "memory://. Set LOOM_JOURNAL_URL."
            )


def _database(url: str, folder: Path | None = None) -> tuple[AsyncEngine, str]:
    """Return an engine on the database, and the words that messages name it by."""
    if url.startswith("sqlite:"):
        from loom_ai.stores.sql.sqlite import sqlite_engine

        path = (folder or Path()) / url.removeprefix("sqlite:///")
        return sqlite_engine(path), str(path)
    from loom_ai.stores.sql.postgres import postgres_engine

    return postgres_engine(url), redacted(url)
