"""Gives engines on Postgres, which all replicas share."""

from __future__ import annotations

from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import make_url

from loom_common import poolers
from loom_common.async_engine import AsyncEngine, create_async_engine, ping_before_use, see_no_pooler
from loom_common.config.settings import DatabaseSettings
from loom_common.domain.values.urls import redacted


def postgres_engine(url: str, limits: DatabaseSettings | None = None) -> AsyncEngine:
    """Return an engine that connects at its first use. Client and server both limit the time of a statement."""
    limits = limits or DatabaseSettings()
    parsed = make_url(f"postgresql+asyncpg://{url.split('://', 1)[1]}")
    engine = create_async_engine(
        parsed.difference_update_query([poolers.SETTING]),
        connect_args={
            "timeout": limits.connect_timeout,
            "command_timeout": limits.query_timeout,
            "server_settings": limits.on_the_server(limits.query_timeout),
        },
    )
    if not poolers.pools_sessions(parsed.query):
        see_no_pooler(engine, redacted(url))
    ping_before_use(engine)
    _plan_anew(engine)
    return engine


def _plan_anew(engine: AsyncEngine) -> None:
    """Have the server plan each statement for the values that it is given. It would keep the plan that was made for an
    empty table, and read the whole table each time once there are many answers."""

    @event.listens_for(engine.sync_engine, "connect")
    def plan_anew(connection: Any, _record: object) -> None:
        connection.run_async(lambda driver: driver.execute("SET plan_cache_mode = force_custom_plan"))
