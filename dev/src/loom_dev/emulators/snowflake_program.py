"""Serves fakesnow as a program of its own, and does what fakesnow leaves out and Snowflake does: it checks who logs in,
refuses statements without a warehouse that runs, and says by Snowflake's numbers what DuckDB refuses.

`LOOM_PORT`, `LOOM_PASSWORD` and `LOOM_KEY`, the file of a public key, say how. The warehouse `asleep` is suspended."""

from __future__ import annotations

import gzip
import json
import os
import re
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import duckdb
import jwt
import uvicorn
from fakesnow.cursor import FakeSnowflakeCursor
from fakesnow.dialect import parse_one
from fakesnow.server import login_request, query_request, routes, to_token
from snowflake.connector.errors import ProgrammingError
from sqlglot import Expr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from loom_dev.emulators.snowflake_locks import Late, Locks

_ACCOUNT, _USER = "LOOM", "LOADER"
_LIKE = re.compile(r'CREATE TABLE IF NOT EXISTS "([^"]+)" LIKE "([^"]+)"')
_LOCKING = ("UPDATE", "DELETE", "MERGE", "CREATE", "ALTER", "DROP")
_COMMITTING = ("COMMIT", "ROLLBACK", "CREATE", "ALTER", "DROP")
"""Statements that wait for a lock of the schema, and those that end a transaction and its lock."""
_CONFLICT = 625
_NUMBERS: tuple[tuple[type[duckdb.Error], int, str], ...] = (
    (duckdb.ConstraintException, 100072, "22000"),
    (duckdb.TransactionException, _CONFLICT, "57014"),
    (duckdb.CatalogException, 2003, "42S02"),
    (duckdb.OutOfRangeException, 100132, "22000"),
    (duckdb.InvalidInputException, 100038, "22018"),
)
_asleep: set[str] = set()
_locks = Locks()
_numbers = count()
_sessions: WeakKeyDictionary[object, int] = WeakKeyDictionary()
_executed = FakeSnowflakeCursor.execute
_transformed = FakeSnowflakeCursor._transform
_texts: WeakKeyDictionary[object, str | None] = WeakKeyDictionary()
"""Holds the statement that a cursor runs, where it means the same each time."""
_known: dict[str, Expr] = {}
"""Holds the statements of DuckDB by those of Snowflake: fakesnow walks through a statement 55 times to change it."""
_OF_ROWS = ("SELECT", "INSERT", "UPDATE", "DELETE", "MERGE")
"""Statements that mean the same in every schema, unless they ask for its tables."""


def _execute(self: FakeSnowflakeCursor, command: str, *arguments: Any, **options: Any) -> FakeSnowflakeCursor:
    word = command.split(maxsplit=1)[0].upper()
    _texts[self] = command if word in _OF_ROWS and "information_schema" not in command.lower() else None
    session = _sessions.setdefault(self._conn, next(_numbers))
    commits = word in _COMMITTING or self._conn._autocommit
    try:
        if word != "ROLLBACK":
            _locks.begin(session)
        if word in _LOCKING:
            _locks.take(str(self._conn.schema), session, self._duck_conn.rollback)
        if word == "MERGE":
            return _merged(self, command, list(options.get("binding_params") or ()))
        if (like := _LIKE.fullmatch(command)) is not None:
            return _created_like(self, *like.groups())
        if word == "DESCRIBE":
            # a table that is missing ends the transaction in DuckDB, and not in Snowflake
            self._duck_conn = self._duck_conn.cursor()
            self._duck_conn.execute(f"SET schema = '{self._conn.database}.{self._conn.schema}'")
        return _executed(self, command, *arguments, **options)
    except Late:
        raise ProgrammingError(msg="This lock has not yet been released.", errno=_CONFLICT, sqlstate="57014") from None
    except duckdb.Error as error:
        for kind, number, state in _NUMBERS:
            if isinstance(error, kind) and (number != _CONFLICT or "onflict" in str(error)):
                raise ProgrammingError(msg=str(error), errno=number, sqlstate=state) from error
        raise
    finally:
        _locks.end(session, transaction=commits)


def _transform(self: FakeSnowflakeCursor, expression: Expr, params: Any) -> Expr:
    """Change a statement into one of DuckDB's, once for all times that it is run."""
    key = _texts.get(self)
    if key is None:
        return _transformed(self, expression, params)
    if key not in _known:
        _known[key] = _transformed(self, expression, params)
    return _known[key]


def _described(self: FakeSnowflakeCursor) -> list[Any]:
    """Return the columns of the last statement, as DuckDB says them. fakesnow takes the statement apart for it."""
    with self._conn.cursor() as beside:
        return list(beside._duck_conn.execute(f"DESCRIBE {self._last_sql}", self._last_params).fetchall())


def _created_like(self: FakeSnowflakeCursor, name: str, like: str) -> FakeSnowflakeCursor:
    """Create a table with the constraints of another one, which fakesnow leaves out."""
    self._duck_conn.commit()
    sql = "SELECT sql FROM duckdb_tables() WHERE schema_name = ? AND table_name = ?"
    ((created,),) = self._duck_conn.execute(sql, [self._conn.schema, like]).fetchall()
    columns = created.partition("(")[2]
    return _executed(self, f'CREATE TABLE IF NOT EXISTS "{name}" ({columns}')


def _merged(self: FakeSnowflakeCursor, command: str, values: list[Any]) -> FakeSnowflakeCursor:
    """Run a MERGE as DuckDB's own. That of fakesnow takes no query of Snowflake's functions, and no transaction."""
    sql = self._transform(parse_one(command), values).sql(dialect="duckdb")
    ((rows,),) = self._duck_conn.execute(sql, values).fetchall()
    _texts[self] = None
    return _executed(self, f'SELECT {rows} AS "number of rows updated"')


async def _login(request: Request) -> Response:
    body = await request.body()
    if request.headers.get("Content-Encoding") == "gzip":
        body = gzip.decompress(body)
    given = json.loads(body)["data"]
    if given["ACCOUNT_NAME"].upper() != _ACCOUNT:
        return Response(status_code=404)
    if given.get("AUTHENTICATOR") == "SNOWFLAKE_JWT":
        if not _signed(given["TOKEN"]):
            return _refused(390144, "JWT token is invalid.")
    elif given["LOGIN_NAME"].upper() != _USER or given.get("PASSWORD") != os.environ["LOOM_PASSWORD"]:
        return _refused(390100, "Incorrect username or password was specified.")
    answer = await login_request(request)
    if request.query_params.get("warehouse", "").lower() == "asleep":
        _asleep.add(json.loads(bytes(answer.body))["data"]["token"])
    return answer


async def _query(request: Request) -> Response:
    if to_token(request) in _asleep:
        return _refused(606, "No active warehouse selected in the current session.", "57P03")
    return await query_request(request)


def _signed(token: str) -> bool:
    """Tell whether a token is signed by the key of the user."""
    try:
        claims = jwt.decode(token, Path(os.environ["LOOM_KEY"]).read_text(), algorithms=["RS256"])
    except (OSError, jwt.PyJWTError):
        return False
    return str(claims["sub"]) == f"{_ACCOUNT}.{_USER}"


def _refused(number: int, words: str, state: str = "08001") -> JSONResponse:
    code = f"{number:06d}"
    data = {"errorCode": code, "sqlState": state}
    return JSONResponse({"data": data, "code": code, "message": words, "success": False})


def _app() -> Starlette:
    own: dict[str, Callable[[Request], Awaitable[Response]]] = {
        "/session/v1/login-request": _login,
        "/queries/v1/query-request": _query,
    }
    kept = [route for route in routes if route.path not in own]
    return Starlette(routes=[*kept, *(Route(path, each, methods=["POST"]) for path, each in own.items())])


if __name__ == "__main__":
    FakeSnowflakeCursor.execute = _execute  # type: ignore[method-assign]  # by what Snowflake does
    FakeSnowflakeCursor._transform = _transform  # type: ignore[method-assign]
    FakeSnowflakeCursor._describe_last_sql = _described  # type: ignore[method-assign]
    uvicorn.run(_app(), host="127.0.0.1", port=int(os.environ["LOOM_PORT"]), log_level="warning", access_log=False)
