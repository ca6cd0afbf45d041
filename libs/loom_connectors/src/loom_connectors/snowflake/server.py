"""Keeps connections to one Snowflake account, and translates its errors by their numbers.

The driver blocks (docs/adr/0017), so a connection is lent for one visit to a thread."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import snowflake.connector as driver
from snowflake.connector.cursor import ResultMetadata, SnowflakeCursor

from loom_common.errors import (
    AccessRefused,
    ConfigurationError,
    Conflict,
    DependencyUnavailable,
    LoomError,
    PermanentError,
)
from loom_common.errors import Timeout as LateError
from loom_connectors.snowflake.address import Address
from loom_connectors.sql.parameters import Timeouts, see_timeouts
from loom_connectors.sql.threads.lent_connections import LentConnections

MISSING = (2003, 2043)
"""Numbers of errors that a table, or a schema, is not there, or not to be seen by this role."""
_CONFLICTS = (625, 628, 632)
"""Numbers of errors that the locks of other transactions caused: the same work may succeed at once."""
_LATE = (604, 630)
_REFUSED = (3001, 390100, 390101, 390102, 390144, 390186, 390189, 390318, 390422)
_NO_ACCOUNT = (290403, 290404, 390201)
_NO_WAREHOUSE = (606, 90073)
_OF_THE_DRIVER = range(250_000, 300_000)
_EXPIRED = (390104, 390108, 390110, 390111, 390112, 390113, 390114, 390195)
_ROWS = range(100_000, 101_000)
"""Numbers of errors that are about a value."""
_SESSION = {
    "TIMEZONE": "UTC",
    "CLIENT_TELEMETRY_ENABLED": False,
    "BINARY_OUTPUT_FORMAT": "HEX",
    "LOCK_TIMEOUT": 60,
}
_NUMBERED = re.compile(r"^\d{6} \(\w{5}\): ")
"""Matches what the driver writes before what Snowflake said."""
_NO_NULL = 100072
"""The number of the error that a column may not be NULL."""

logging.getLogger("snowflake.connector").setLevel(logging.ERROR)


@dataclass(frozen=True, slots=True)
class Connection:
    """Represents a session, whose statements may take so many seconds each."""

    driver: driver.SnowflakeConnection
    seconds: float

    def run(self, sql: str, values: Sequence[object] = ()) -> SnowflakeCursor:
        """Run a statement. Raises the driver's errors."""
        cursor = self.driver.cursor()
        cursor.execute(sql, tuple(values) or None, timeout=max(1, round(self.seconds)))
        return cursor

    def fetched(self, sql: str, values: Sequence[object] = ()) -> Sequence[Sequence[Any]]:
        """Return the rows of a query."""
        with self.run(sql, values) as cursor:
            return [tuple(row) for row in cursor.fetchall()]

    def changed(self, sql: str, values: Sequence[object] = ()) -> int:
        """Return how many rows a statement inserted, changed or deleted."""
        with self.run(sql, values) as cursor:
            return cursor.rowcount or 0

    def described(self, sql: str, values: Sequence[object] = ()) -> Sequence[ResultMetadata]:
        """Return the columns of a query, which is not run."""
        with self.driver.cursor() as cursor:
            return cursor.describe(sql, tuple(values) or None)


class Server:
    """Logs in when first asked to."""

    def __init__(self, address: Address, timeouts: Timeouts, trouble: type[PermanentError]) -> None:
        """`trouble` is raised for what is wrong with the database as a source or as a destination."""
        self.address = address
        self.timeouts = timeouts
        self.trouble_is = trouble
        self._connections = LentConnections(self._opened, _close)

    @contextmanager
    def connection(self, seconds: float) -> Iterator[Connection]:
        """Lend a session of one's own. Errors of the driver leave it as errors of Loom."""
        try:
            with self._connections.lent(self.timeouts) as found:
                yield Connection(found, seconds)
        except driver.Error as error:
            raise meaning(error, self.address, self.trouble_is) from error

    def close(self) -> None:
        self._connections.close()

    def _opened(self, timeouts: Timeouts) -> driver.SnowflakeConnection:
        address, settings = self.address, dict(self.address.settings)
        key, passphrase = settings.pop("private_key", None), settings.pop("private_key_passphrase", None)
        given: dict[str, Any] = {name: value for name, value in settings.items() if value}
        if key or "private_key_file" in given:
            given |= {"authenticator": "SNOWFLAKE_JWT"}
            if key:
                given["private_key"] = _key_in(key, passphrase)
            elif passphrase:
                given["private_key_file_pwd"] = passphrase
        elif address.password is not None:
            given["password"] = address.password
        try:
            return driver.connect(
                account=address.account,
                user=address.user,
                database=address.database,
                schema=address.schema,
                login_timeout=max(1, round(timeouts.connect)),
                network_timeout=max(1, round(timeouts.transaction)),
                socket_timeout=max(1, round(timeouts.transaction)),
                paramstyle="numeric",
                autocommit=False,
                application="Loom",
                session_parameters=dict(_SESSION),
                platform_detection_timeout_seconds=0.0,
                **given,
            )
        except (TypeError, ValueError, OSError) as error:
            raise ConfigurationError(
                f"{address.shown}: its private key cannot be used: {type(error).__name__}. It has to be a key in PEM, "
                "with `private_key_passphrase` where it is encrypted."
            ) from None


def _key_in(pem: str, passphrase: str | None) -> bytes:
    """Return a private key in the form that the driver takes."""
    from cryptography.hazmat.primitives import serialization

    text = pem.replace("\\n", "\n").encode()
    key = serialization.load_pem_private_key(text, passphrase.encode() if passphrase else None)
    return key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _close(connection: driver.SnowflakeConnection) -> None:
    with suppress(driver.Error):
        connection.close()


def number_of(error: Exception) -> int:
    """Return the number of an error of Snowflake; 0 where it has none."""
    number = getattr(error, "errno", None)
    return number if isinstance(number, int) and number > 0 else 0


def is_of_a_row(error: Exception) -> bool:
    """Tell whether an error is about the values of a row."""
    return number_of(error) in _ROWS


def is_of_a_null(error: Exception) -> bool:
    """Tell whether an error is about a column that may not be NULL."""
    return number_of(error) == _NO_NULL


def words_of(error: Exception) -> str:
    """Return what Snowflake said, in one line."""
    said = getattr(error, "raw_msg", None) or getattr(error, "msg", None) or str(error)
    return _NUMBERED.sub("", " ".join(str(said).split())).rstrip(".!")


def meaning(error: driver.Error, address: Address, trouble: type[PermanentError]) -> LoomError:
    """Return what an error of Snowflake is to Loom, by its number."""
    number, words, place = number_of(error), words_of(error), address.shown
    if number in _LATE:
        return LateError(f"{place}: {words}. {see_timeouts(trouble)}")
    if number in _CONFLICTS:
        return Conflict(f"{place}: {words}.")
    if number in _REFUSED:
        return AccessRefused(f"{place}: {words}. Check the user, its password or key, and what its role is granted.")
    if number in _NO_ACCOUNT:
        return trouble(f"There is no Snowflake account '{address.account}'. Correct the host of the URL: {words}.")
    if number in _NO_WAREHOUSE:
        named = address.settings.get("warehouse")
        remedy = (
            f"Resume the warehouse '{named}', let it resume by itself (AUTO_RESUME), or name another one that this "
            "role may use."
            if named
            else "Name one at the end of the URL: `?warehouse=name`."
        )
        return trouble(f"{place}: {words}. {remedy}")
    if number in _EXPIRED or number in _OF_THE_DRIVER or isinstance(error, driver.OperationalError):
        return DependencyUnavailable(f"{place}: {words}.")
    if number in MISSING:
        return trouble(f"{place}: {words}. Correct the name, or grant the role what it needs to see it.")
    return trouble(f"{place}: {words}.")
