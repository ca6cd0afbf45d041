"""The journal in Postgres, shared by all replicas."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import create_async_engine

from loom_ai.stores.sql import SqlJournal
from loom_common.domain.urls import redacted

CONNECT_SECONDS = 3.0
QUERY_SECONDS = 10.0


def open_postgres(url: str) -> SqlJournal:
    """The journal in the database that `url` names (`postgresql://user:password@host/database`)."""
    engine = create_async_engine(
        f"postgresql+asyncpg://{url.split('://', 1)[1]}",
        pool_pre_ping=True,
        connect_args={"timeout": CONNECT_SECONDS, "command_timeout": QUERY_SECONDS},
    )
    return SqlJournal(engine, redacted(url))
