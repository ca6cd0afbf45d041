"""Serves the protocol of SQL Server (TDS 7.4, with TLS) over databases of a Postgres, whose transactions, locks and
constraints are real. `pysqlbridge` speaks the protocol; Transact-SQL is translated as far as Loom and its tests write
it."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import socketserver
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
from pysqlbridge.certificate import self_signed
from pysqlbridge.tds import Connection
from pysqlbridge.tds.packet import TdsProtocolError
from pysqlbridge.tds.result import Query, QueryError, QueryResult
from sqlglot.errors import SqlglotError

from loom_dev.emulators.mssql_answers import TYPES, nothing, number_of, result_of, words_of
from loom_dev.emulators.mssql_translation import translated

CATALOG = Path(__file__).with_name("mssql_catalog.sql")
USER = "loader"
_INSTALLING = 7_240_001
_GUARDED = re.compile(r"IF OBJECT_ID\(N'((?:[^']|'')*)'\) IS NULL (.*)", re.DOTALL)
_RENAMED = re.compile(r"EXEC sp_rename N'((?:[^']|'')*)', N'((?:[^']|'')*)'")
_SET = re.compile(r"SET (\w+) (\w+)", re.IGNORECASE)
_CONTROLS = ("BEGIN TRANSACTION", "COMMIT", "COMMIT TRANSACTION", "ROLLBACK")
_COUNT = "; SELECT @@ROWCOUNT"
_NO_COUNT = "SET NOCOUNT ON; "
_DESCRIBED = "sys.dm_exec_describe_first_result_set("


class _Session:
    """Answers the statements of one client, by a connection of its own to a database of Postgres."""

    def __init__(self, server: MssqlServer) -> None:
        self._server = server
        self._loop = asyncio.new_event_loop()
        self._database: asyncpg.Connection | None = None
        self._in_transaction = False
        self._rows = 0
        self.connection = Connection(server.certificate, query_handler=self.answer, logins=server)

    def close(self) -> None:
        if self._database is not None:
            self._database.terminate()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    def answer(self, query: Query) -> QueryResult:
        try:
            return self._loop.run_until_complete(self._answer(query.sql, query.parameters))
        except (asyncpg.PostgresError, SqlglotError, UnicodeEncodeError) as error:
            if self._in_transaction:  # as XACT_ABORT has it
                self._in_transaction = False
                self._loop.run_until_complete(self._run("ROLLBACK"))
            raise QueryError(words_of(number_of(error), error), number=number_of(error)) from error

    async def _answer(self, sql: str, values: Mapping[str, object]) -> QueryResult:
        counted = sql.startswith(_NO_COUNT) and sql.endswith(_COUNT)
        sql = sql[len(_NO_COUNT) : -len(_COUNT)] if counted else sql
        found = await self._run_batch(sql.strip().rstrip(";"), values)
        return result_of([("", "int8")], [[self._rows]]) if counted else found

    async def _run_batch(self, sql: str, values: Mapping[str, object]) -> QueryResult:
        if _DESCRIBED in sql:
            return await self._described(str(values["@p1"]), str(values["@p2"] or ""))
        if await self._controlled(sql, sql.upper()):
            return nothing()
        if (guarded := _GUARDED.fullmatch(sql)) is not None:
            there = await self._fetch(f"SELECT sys.object_id('{guarded[1]}')")
            return nothing() if there[1][0][0] is not None else await self._run_batch(guarded[2], values)
        found = nothing()
        for each in translated(sql):
            for table in each.locked if self._in_transaction else ():
                await self._run(f"LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE")
            columns, rows = await self._fetch(each.filled(values))
            found = result_of(columns, rows)
        return found

    async def _controlled(self, sql: str, upper: str) -> bool:
        """Carry out what is no statement of rows or tables. Return whether it was that."""
        if (renamed := _RENAMED.fullmatch(sql)) is not None:
            table = renamed[1].replace("[dbo].", "").replace("[", '"').replace("]", '"')
            await self._run(f'ALTER TABLE {table} RENAME TO "{renamed[2]}"')
        elif upper in _CONTROLS:
            await self._run(upper.partition(" ")[0])
            self._in_transaction = upper.startswith("BEGIN")
        elif upper == "IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION":
            if self._in_transaction:
                self._in_transaction = False
                await self._run("ROLLBACK")
        elif _SET.match(sql):
            for name, value in _SET.findall(sql):
                if name.upper() == "LOCK_TIMEOUT":
                    await self._run(f"SET lock_timeout = {int(value)}")
        else:
            return upper.startswith("USE ")
        return True

    async def _described(self, sql: str, declared: str) -> QueryResult:
        """Say the columns of a query, which is not run."""
        names = [("name", "text"), ("system_type_name", "text"), ("error_message", "text")]
        kinds = dict(each.split(" ", 1) for each in declared.split(", ")) if declared else {}
        (statement,) = translated(sql)
        typed = {name: _Null(kind) for name, kind in kinds.items()}
        try:
            prepared = await (await self._opened()).prepare(statement.filled(typed))
        except asyncpg.PostgresError as error:
            if self._in_transaction:
                raise
            return result_of(names, [[None, None, words_of(number_of(error), error)]])
        columns = [(each.name, each.type.name) for each in prepared.get_attributes()]
        return result_of(names, [[name or None, TYPES.get(kind, kind), None] for name, kind in columns])

    async def _fetch(self, sql: str) -> tuple[list[tuple[str, str]], list[list[Any]]]:
        prepared = await (await self._opened()).prepare(sql)
        rows = await prepared.fetch()
        word, *_, last = (prepared.get_statusmsg() or " ").split(" ")
        self._rows = int(last) if last.isdigit() and word != "SELECT" else 0
        return [(each.name, each.type.name) for each in prepared.get_attributes()], [list(row) for row in rows]

    async def _run(self, sql: str) -> None:
        await (await self._opened()).execute(sql)

    async def _opened(self) -> asyncpg.Connection:
        if self._database is None:
            login = self.connection.login
            place = urlsplit(self._server.postgres)
            url = urlunsplit(place._replace(path=f"/{login.database if login else ''}"))
            try:
                opened = await asyncpg.connect(url)
            except asyncpg.InvalidCatalogNameError as error:
                words = f'Cannot open database "{login.database}" requested by the login. The login failed.'
                raise QueryError(words, number=4060, severity=11) from error
            async with opened.transaction():
                await opened.fetchval("SELECT pg_advisory_xact_lock($1)", _INSTALLING)
                if not await opened.fetchval("SELECT to_regnamespace('sys') IS NOT NULL"):
                    await opened.execute(CATALOG.read_text(encoding="utf-8"))
            await opened.execute("SET search_path = public, sys; SET TimeZone = 'UTC'")
            self._database = opened
        return self._database


class _Null:
    """Stands for the value of a parameter whose type alone matters."""

    def __init__(self, kind: str) -> None:
        self._kind = {"BIGINT": "0", "FLOAT": "0.5", "BIT": "1"}.get(kind, "2000-01-01")

    def __str__(self) -> str:
        return self._kind


class MssqlServer:
    """Represents a server whose databases are those of a Postgres."""

    configured = True

    def __init__(self, postgres: str) -> None:
        """Take the URL of a user of Postgres."""
        self.postgres = postgres
        self.certificate = self_signed("localhost")
        self.password = token_hex(8)
        self.port = 0

    def admits(self, user: str, password: str) -> bool:
        """Tell whether this is the one user."""
        return (user, password) == (USER, self.password)

    def url_of(self, database: str, folder: Path, *, password: str | None = None) -> str:
        """Return the URL of a database, with the server's certificate, which is put into a folder."""
        ca = folder / "mssql.pem"
        ca.write_bytes(self.certificate.cert_pem)
        return f"mssql://{USER}:{password or self.password}@localhost:{self.port}/{database}?ca={ca}"

    @contextmanager
    def serving(self) -> Iterator[MssqlServer]:
        """Serve on a free port of loopback."""
        server = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                session = _Session(server)
                try:
                    while data := self.request.recv(65536):
                        for answer in session.connection.receive(data):
                            self.request.sendall(answer)
                except (OSError, TdsProtocolError):
                    pass  # the client went away
                finally:
                    session.close()

        class Listener(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True

        with Listener(("127.0.0.1", 0), Handler) as listener:
            self.port = listener.server_address[1]
            thread = threading.Thread(target=listener.serve_forever, name="mssql", daemon=True)
            thread.start()
            try:
                yield self
            finally:
                listener.shutdown()
                thread.join()


def asked(url: str, sql: str) -> Sequence[Sequence[Any]]:
    """Run a statement by the driver alone. Returns the rows of a query."""
    import pytds

    from loom_connectors.mssql import certificates

    certificates.verify()
    place = urlsplit(url)
    with contextlib.closing(
        pytds.connect(
            dsn="localhost", port=place.port, user=place.username, password=place.password,
            database=place.path.strip("/"), autocommit=True,
            cafile=dict(each.split("=", 1) for each in place.query.split("&"))["ca"],
        )
    ) as connection, connection.cursor() as cursor:  # fmt: skip
        cursor.execute(sql)
        return list(cursor.fetchall()) if cursor.description else []
