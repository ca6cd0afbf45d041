"""Keeps connections to one MySQL or MariaDB, and translates the server's errors by their numbers.

The driver blocks (docs/adr/0014), so a connection is lent for one visit to a thread."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pymysql
from pymysql.constants import CLIENT
from pymysql.converters import encoders

from loom_common.errors import (
    AccessRefused,
    ConfigurationError,
    Conflict,
    DependencyUnavailable,
    LoomError,
    PermanentError,
)
from loom_common.errors import Timeout as LateError
from loom_connectors.mysql.address import Address
from loom_connectors.sql.network_errors import network_errors_told
from loom_connectors.sql.parameters import Timeouts, see_timeouts
from loom_connectors.sql.threads.lent_connections import LentConnections

_STRICT = (
    "STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_AUTO_VALUE_ON_ZERO,"
    "NO_ENGINE_SUBSTITUTION"
)
"""The mode in which a load writes: a value that does not fit is refused, and a zero is no request for a number."""

CONFLICTS = (1020, 1205, 1213)
"""Numbers of errors that another transaction caused: the same work may succeed at once."""
_PASSING = (
    *CONFLICTS,
    *(1030, 1037, 1038, 1040, 1041, 1053, 1077, 1079, 1129, 1152, 1153, 1158, 1159, 1160, 1161, 1180, 1189, 1192),
    *(1203, 1226, 1317, 1637, 1927, 2002, 2003, 2006, 2013, 2014, 2055),
)
_LATE = (1969, 3024)
_REFUSED = (1044, 1045, 1142, 1143, 1227, 1290, 1370, 1410, 1698, 1792, 1836, 2059, 3118)
CONSTRAINTS = (1048, 1062, 1169, 1216, 1217, 1364, 1451, 1452, 1557, 1586, 1761, 1762, 1859, 3819, 4025)
"""Numbers of errors that a constraint of the table caused."""
ROWS = (
    *CONSTRAINTS,
    *(1263, 1264, 1265, 1292, 1300, 1366, 1367, 1406, 1411, 1416, 1426, 1441, 1525, 1644, 1690, 3140, 3141, 4079),
)
"""Numbers of errors that are about the values of a row."""


class Server:
    """Connects when first asked to."""

    def __init__(self, address: Address, timeouts: Timeouts, trouble: type[PermanentError], *, writes: bool) -> None:
        """`trouble` is raised for what is wrong with the database as a source or as a destination."""
        self.address = address
        self.timeouts = timeouts
        self.trouble_is = trouble
        self._writes = writes
        self._connections = LentConnections(self._opened, _close)

    @contextmanager
    def connection(self, seconds: float) -> Iterator[pymysql.Connection]:
        """Lend a connection of one's own, whose statements may take so many seconds. Errors of the driver leave it as
        errors of Loom."""
        with self._translated(), self._connections.lent(seconds) as connection:
            yield connection

    def close(self) -> None:
        self._connections.close()

    def _opened(self, seconds: float) -> pymysql.Connection:
        address = self.address
        try:
            connection = pymysql.connect(
                host=address.host,
                port=address.port,
                user=address.user,
                password=address.password,
                database=address.database,
                charset="utf8mb4",
                conv=dict(encoders.items()),  # no decoders: values are read by the rules of reading.py alone
                autocommit=not self._writes,
                client_flag=CLIENT.FOUND_ROWS,
                connect_timeout=max(1, round(self.timeouts.connect)),
                read_timeout=seconds + self.timeouts.connect,
                write_timeout=seconds + self.timeouts.connect,
                unix_socket=address.unix_socket,
                ssl_ca=address.ssl_ca,
                ssl_cert=address.ssl_cert,
                ssl_key=address.ssl_key,
                ssl_verify_identity=address.ssl_verify_identity,
                ssl_disabled=address.ssl_disabled,
            )
        except ValueError as error:
            raise ConfigurationError(f"{address.shown}: {error}") from error
        settings = {"time_zone": "'+00:00'", "lock_wait_timeout": str(max(1, round(seconds)))}
        if self._writes:
            lock = max(1, round(min(seconds, self.timeouts.load)))
            settings |= {"sql_mode": f"'{_STRICT}'", "innodb_lock_wait_timeout": str(lock)}
        if is_mariadb(connection):
            settings["max_statement_time"] = str(seconds)
        elif not self._writes:
            settings["max_execution_time"] = str(round(seconds * 1000))
        with connection.cursor() as cursor:
            cursor.execute(f"SET SESSION {', '.join(f'{name} = {value}' for name, value in settings.items())}")
            if self._writes:
                cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
        return connection

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            with network_errors_told(self.address.shown, self.trouble_is):
                yield
        except pymysql.MySQLError as error:
            raise meaning(error, self.address.shown, self.trouble_is) from error


def _close(connection: pymysql.Connection) -> None:
    with suppress(pymysql.MySQLError):
        connection.close()


def is_mariadb(connection: pymysql.Connection) -> bool:
    """Tell whether the server is MariaDB, and not MySQL."""
    return "MariaDB" in str(connection.get_server_info())  # type: ignore[no-untyped-call]  # its stub has no types


def number_of(error: Exception) -> int:
    """Return the number of an error of the server; 0 where it has none."""
    return error.args[0] if error.args and isinstance(error.args[0], int) else 0


def words_of(error: Exception) -> str:
    """Return what the server said."""
    return str(error.args[1] if len(error.args) > 1 else error).rstrip(".")


def meaning(error: pymysql.MySQLError, place: str, trouble: type[PermanentError]) -> LoomError:
    """Return what an error of the server is to Loom, by its number."""
    number, words = number_of(error), words_of(error)
    if number in _LATE:
        return LateError(f"{place}: {words}. {see_timeouts(trouble)}")
    if number in CONFLICTS:
        return Conflict(f"{place}: {words}.")
    if number in _PASSING or (number == 0 and isinstance(error, pymysql.err.InterfaceError)):
        return DependencyUnavailable(f"{place}: {words}.")
    if number in _REFUSED:
        return AccessRefused(f"{place}: {words}. Check the user, its password and what it is granted.")
    return trouble(f"{place}: {words}.")
