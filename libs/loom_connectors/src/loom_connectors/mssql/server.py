"""Keeps connections to one database of a SQL Server, and translates the server's errors by their numbers.

The driver blocks and is written in Python (docs/adr/0063), so a connection is lent for one visit to a thread. It is
always encrypted, and the server's certificate is verified."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from decimal import Decimal
from typing import Any

import certifi
import pytds
from OpenSSL import SSL, crypto

from loom_common.errors import AccessRefused, Conflict, DependencyUnavailable, LoomError, PermanentError
from loom_connectors.mssql import certificates
from loom_connectors.mssql.address import Address
from loom_connectors.mssql.statements import marker
from loom_connectors.sql.network_errors import network_errors_told
from loom_connectors.sql.parameters import Timeouts
from loom_connectors.sql.threads.lent_connections import LentConnections

CONFLICTS = (1205, 1222, 1913, 2705, 2714, 3960, 3961)
"""Numbers of errors that another transaction caused: the same work may succeed at once. 2714, 2705 and 1913 say that
somebody else has just made the table, the column or the index."""
_PASSING = (
    *(64, 233, 601, 701, 802, 845, 1105, 1204, 3635, 4221, 5245, 6005, 8645, 8651, 9002, 10053, 10054, 10060, 10928),
    *(10929, 10936, 11001, 17142, 17187, 17197, 17809, 40143, 40197, 40501, 40540, 40613, 41301, 41302, 41305, 41325),
    *(41839, 49918, 49919, 49920),
)
_REFUSED = (229, 230, 262, 297, 300, 916, 3906, 3908, 15247, 18452, 18456, 18461, 18470, 18486, 18487, 18488)
CONSTRAINTS = (515, 547, 550, 2601, 2627)
"""Numbers of errors that a constraint of the table caused."""
_ROWS = (
    *(*CONSTRAINTS, 220, 232, 241, 242, 244, 245, 248, 295, 296, 1946, 2628, 3609, 3616, 6522, 8114, 8115, 8152, 8169),
    *range(9400, 9500),
)
"""Numbers of errors that are about the values of a row; a trigger raises those from 50000 on."""


class Connection:
    """Represents a connection that is lent. Statements of many values are run by `sp_executesql`."""

    def __init__(self, driver: Any) -> None:
        self._driver = driver

    def run(self, sql: str) -> None:
        """Run statements without values, and without rows."""
        with self._driver.cursor() as cursor:
            cursor.execute(sql)

    def fetched(self, sql: str, values: Sequence[object] = ()) -> list[Sequence[Any]]:
        """Return the rows of the statement."""
        with self._driver.cursor() as cursor:
            given = [_bound(value) for value in values]
            if not given:
                cursor.execute(sql)
                return list(cursor.fetchall())
            arguments = {marker(at): value for at, value in enumerate(given, 1)}
            cursor.callproc("sp_executesql", {"@stmt": sql, "@params": self.declared(given), **arguments})
            return list(cursor.fetchall())

    def declared(self, values: Sequence[object]) -> str:
        """Return how values are declared that stand in a statement by their numbers."""
        return ", ".join(f"{marker(at)} {_declared(_bound(value))}" for at, value in enumerate(values, 1))

    def changed(self, sql: str, values: Sequence[object] = ()) -> int:
        """Run a statement. Returns how many rows it inserted, changed or deleted."""
        ((rows,),) = self.fetched(f"SET NOCOUNT ON; {sql.rstrip(';')}; SELECT @@ROWCOUNT", values)
        return int(rows)

    def close(self) -> None:
        with suppress(Exception):  # it may be lost, or amid an answer
            self._driver.close()


class Server:
    """Connects when first asked to."""

    def __init__(self, address: Address, timeouts: Timeouts, trouble: type[PermanentError]) -> None:
        """`trouble` is raised for what is wrong with the database as a source or as a destination."""
        self.address = address
        self.timeouts = timeouts
        self.trouble_is = trouble
        self._connections = LentConnections(self._opened, Connection.close)

    @contextmanager
    def connection(self, seconds: float) -> Iterator[Connection]:
        """Lend a connection of one's own, whose statements may take so many seconds. Errors of the driver leave it as
        errors of Loom."""
        with self._translated(), self._connections.lent(seconds) as connection:
            yield connection

    def close(self) -> None:
        self._connections.close()

    def _opened(self, seconds: float) -> Connection:
        certificates.verify()
        # The driver tries again and again to reach a host, and tells only that it was late.
        sock = socket.create_connection((self.address.host, self.address.port), self.timeouts.connect)
        try:
            connection = Connection(self._logged_in(sock, seconds))
            wait = max(1, round(min(seconds, self.timeouts.load) * 1000))
            connection.run(f"SET XACT_ABORT ON; SET LOCK_TIMEOUT {wait}")
        except BaseException:
            sock.close()
            raise
        return connection

    def _logged_in(self, sock: socket.socket, seconds: float) -> Any:
        address = self.address
        return pytds.connect(
            dsn=address.host,
            port=address.port,
            user=address.user,
            password=address.password,
            database=address.database,
            appname="loom",
            login_timeout=max(1.0, self.timeouts.connect),
            timeout=seconds + self.timeouts.connect,
            autocommit=True,
            cafile=address.ca or certifi.where(),
            validate_host=address.verify_host,
            disable_connect_retry=True,
            sock=sock,
        )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            with network_errors_told(self.address.shown, self.trouble_is):
                yield
        except pytds.Error as error:
            raise meaning(error, self.address.shown, self.trouble_is) from error
        except (SSL.Error, crypto.Error) as error:
            raise _untrusted(self.address, str(error)) from error


def _bound(value: object) -> object:
    match value:
        case str() | int() | float() | None:
            return value
        case Decimal():
            return str(value)
        case _:
            return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _declared(value: object) -> str:
    match value:
        case bool():
            return "BIT"
        case int():
            return "BIGINT"
        case float():
            return "FLOAT"
        case _:
            return "NVARCHAR(MAX)"


def number_of(error: Exception) -> int:
    """Return the number of an error of the server; 0 where it has none."""
    return int(error.number or 0) if isinstance(error, pytds.DatabaseError) else 0


def words_of(error: Exception) -> str:
    """Return what the server said."""
    return str(error.text if isinstance(error, pytds.DatabaseError) else error).strip().rstrip(".")


def is_of_a_row(error: Exception) -> bool:
    """Tell whether an error is about the values of a row."""
    number = number_of(error)
    return number in _ROWS or number >= 50_000


def meaning(error: Exception, place: str, trouble: type[PermanentError]) -> LoomError:
    """Return what an error of the driver is to Loom, by its number."""
    number, words = number_of(error), words_of(error)
    if number in CONFLICTS:
        return Conflict(f"{place}: {words}.")
    if number in _REFUSED:
        return AccessRefused(f"{place}: {words}. Check the user, its password and what it is granted.")
    if number in _PASSING or (number == 0 and isinstance(error, pytds.InterfaceError | pytds.OperationalError)):
        return DependencyUnavailable(f"{place}: {words}.")
    return trouble(f"{place}: {words}.")


def _untrusted(address: Address, words: str) -> LoomError:
    return AccessRefused(
        f"{address.shown}: the connection cannot be encrypted ({words}). Where the server's certificate is signed by "
        "nobody that everybody trusts, name a file with the certificate of who signed it, or with the server's own: "
        "`?ca=server.pem`."
    )
