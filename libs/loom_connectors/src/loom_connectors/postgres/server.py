"""Keeps a small pool of connections to one Postgres, and translates its errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import asyncpg
import orjson

from loom_common import poolers
from loom_common.domain.values.sqlstates import passes
from loom_common.errors import (
    AccessRefused,
    ConfigurationError,
    Conflict,
    DependencyUnavailable,
    LoomError,
    PermanentError,
    Timeout,
)
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.server_urls import held_files, server_url, settings_of
from loom_connectors.sql.parameters import Timeouts, see_timeouts
from loom_connectors.sql.table_name import NameRules, TableName

_CONNECTIONS = 4
_FILES = ("passfile", "sslcert", "sslcrl", "sslkey", "sslrootcert")
_SETTINGS = (
    *("application_name", "client_encoding", "options", "search_path", "service", "statement_timeout"),
    *("sslmode", "sslnegotiation", "sslpassword", "ssl_max_protocol_version", "ssl_min_protocol_version"),
    *("target_session_attrs", "timezone"),
    *_FILES,
)
_REFUSED = ("28", "42501", "25006")
_ROW = ("22", "23", "44", "54", "P0001")
_CONFLICTS = ("40001", "40P01", "55P03")
"""The states of errors for which another transaction is the cause: a serialization failure, a deadlock, a lock that was
not released in time."""
NAMES = NameRules("Postgres", 63)
"""Says what names Postgres can tell apart: it cuts longer ones without an error, so that two would become one."""


@dataclass(frozen=True, slots=True)
class Address:
    """Represents a `postgres://` URL, taken apart."""

    dsn: str
    """A form given to the driver; holds the password."""
    shown: str
    """A form shown to people."""
    table: TableName | None
    pooled: bool = False
    """Tells whether the URL says that a pooler gives each client a connection of its own."""

    @staticmethod
    def of(location: str, context: ConnectorContext) -> Address:
        """Raises `ConfigurationError`, without the URL: it may hold a password in the wrong place, and
        `PathNotAllowed`."""
        url = server_url(location, context.credentials, "postgres")
        query = held_files(settings_of(url, "postgres", ("table", poolers.SETTING, *_SETTINGS)), _FILES, context)
        pooled = poolers.pools_sessions(query)
        table, _ = query.pop("table", None), query.pop(poolers.SETTING, None)
        if table and "\0" in table:
            raise ConfigurationError(
                "The postgres:// URL names a table with NUL in its name; Postgres has no such table."
            )
        name = TableName.of(table) if table else None
        if name is not None:
            NAMES.check_table(name, "postgres")
        dsn = url._replace(scheme="postgresql", query=urlencode(query)).geturl()
        shown = f"postgres://{url.hostname or 'localhost'}:{url.port or 5432}/{url.path.strip('/')}"
        return Address(dsn, shown, name, pooled=pooled)


class Server:
    """Connects when first asked to."""

    def __init__(self, address: Address, timeouts: Timeouts, trouble: type[PermanentError], session: str = "") -> None:
        """`trouble` is raised for what is wrong with the database as a source or as a destination; `session` is SQL
        that every connection begins with."""
        self.address = address
        self._timeouts = timeouts
        self._trouble = trouble
        self._session = session
        self._opening = asyncio.Lock()
        self._pool: asyncpg.Pool | None = None

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        """Lend a connection of one's own. Errors of the driver leave it as errors of Loom."""
        with self._translated(f"no connection within {self._timeouts.connect:g} s.", DependencyUnavailable):
            pool = await self._opened()
            connection = await pool.acquire()
        try:
            with self._translated(f"no answer in time. {see_timeouts(self._trouble)}", Timeout):
                yield connection
        except DependencyUnavailable:
            with suppress(asyncpg.InterfaceError):  # it may be gone already
                connection.terminate()  # nobody should be given what is left of it
            raise
        finally:
            with self._translated("no connection.", DependencyUnavailable):
                await pool.release(connection)

    async def close(self) -> None:
        pool, self._pool = self._pool, None
        if pool is None:
            return
        try:
            await asyncio.wait_for(pool.close(), self._timeouts.connect)
        except TimeoutError:
            pool.terminate()

    async def _opened(self) -> Any:
        async with self._opening:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    self.address.dsn,
                    min_size=0,
                    max_size=_CONNECTIONS,
                    timeout=self._timeouts.connect,
                    command_timeout=self._timeouts.query,
                    server_settings=self._server_settings(),
                    init=self._begin,
                    reset=_as_it_is,
                )
            return self._pool

    async def _begin(self, connection: Any) -> None:
        if not self.address.pooled and await poolers.is_pooler(connection):
            raise poolers.refused(self.address.shown)
        if self._session:
            await connection.execute(self._session)
        for name in ("json", "jsonb"):
            await connection.set_type_codec(name, schema="pg_catalog", encoder=str, decoder=orjson.loads)

    def _server_settings(self) -> dict[str, str]:
        """Return settings by which no statement and no transaction outlives its client for long. What the URL says
        comes first."""
        limit = str(int(self._timeouts.transaction * 1000))
        settings = {"statement_timeout": limit, "idle_in_transaction_session_timeout": limit}
        return {name: value for name, value in settings.items() if f"{name}=" not in self.address.dsn}

    @contextmanager
    def _translated(self, late: str, lateness: type[LoomError]) -> Iterator[None]:
        place = self.address.shown
        try:
            yield
        except asyncpg.PostgresError as error:
            raise meaning(error, place, self._trouble) from error
        except asyncpg.InterfaceError as error:
            if isinstance(error, ValueError):  # the driver could not send a value or a setting
                raise ConfigurationError(f"{place}: {error}") from error
            raise DependencyUnavailable(f"{place}: {error}") from error
        except asyncpg.InternalClientError as error:  # the server ended the connection in the midst of things
            raise DependencyUnavailable(f"{place}: the connection is broken.") from error
        except TimeoutError as error:
            raise lateness(f"{place}: {late}") from error
        except OSError as error:
            raise DependencyUnavailable(f"{place} cannot be reached: {error.strerror or error}.") from error


def meaning(error: asyncpg.PostgresError, place: str, trouble: type[PermanentError]) -> LoomError:
    """Return what an error of the server is to Loom, by its SQLSTATE."""
    state, words = error.sqlstate or "", str(error).splitlines()[0] if str(error) else type(error).__name__
    if state == "57014":
        return Timeout(f"{place}: {words}. {see_timeouts(trouble)}")
    if state in _CONFLICTS:
        return Conflict(f"{place}: {words}.")
    if passes(error):
        return DependencyUnavailable(f"{place}: {words}.")
    if state.startswith(_REFUSED):
        return AccessRefused(f"{place}: {words}. Check the user, its password and what it is granted.")
    hint = f" {error.hint}" if getattr(error, "hint", None) else ""
    return trouble(f"{place}: {words}.{hint}")


def is_a_rows_fault(error: asyncpg.PostgresError) -> bool:
    """Tell whether a row's values were refused: a constraint, a type, a trigger that raised."""
    return (error.sqlstate or "").startswith(_ROW)


async def _as_it_is(connection: Any) -> None:
    """Give a connection back without a query: transactions are ended by then, and connectors change nothing else of a
    session."""
