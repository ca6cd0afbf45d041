"""Keeps the connection of a source to Redis, and says in Loom's errors what the server refuses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError, ResponseError
from redis.exceptions import ConnectionError as Lost
from redis.exceptions import TimeoutError as TooLong

from loom_common.errors import AccessRefused, DependencyUnavailable, SourceError
from loom_connectors.redis_streams.address import Address

_PATIENCE_SECONDS = 10.0
"""Says how long a command waits for a server that does not answer. Reading waits for entries for a second at most."""
_PASSING = ("LOADING", "BUSY ", "TRYAGAIN", "CLUSTERDOWN", "MASTERDOWN", "READONLY", "OOM", "MISCONF", "NOREPLICAS")
"""Begin what a server answers that cannot serve at the moment."""


class Server:
    """Represents the connections to one server, each of which is opened when it is first used and again when it is
    lost."""

    def __init__(self, address: Address) -> None:
        self.shown = address.shown
        self._stream = address.stream
        self.redis = Redis(
            **address.connection,
            protocol=2,
            socket_connect_timeout=_PATIENCE_SECONDS,
            socket_timeout=_PATIENCE_SECONDS,
            retry=Retry(NoBackoff(), 1),
        )

    @asynccontextmanager
    async def trouble(self) -> AsyncIterator[None]:
        """Raise an error of Loom's for one of Redis's: `AccessRefused`, `DependencyUnavailable` or `SourceError`."""
        try:
            yield
        except (AuthenticationError, NoPermissionError) as error:
            raise AccessRefused(
                f"Redis at {self.shown} refuses the stream '{self._stream}': {_words(error)}. Check user and password, "
                "and grant the user the commands of consumer groups: @stream, @read, @connection and XINFO."
            ) from error
        except (Lost, TooLong, OSError) as error:
            raise DependencyUnavailable(
                f"Redis at {self.shown} cannot be reached: {_words(error)}. Check that it runs and try again."
            ) from error
        except ResponseError as error:
            if str(error).startswith("WRONGTYPE"):
                raise SourceError(
                    f"Redis at {self.shown} has something else than a stream under the key '{self._stream}'. Name the "
                    "key of a stream, as XADD writes it, in extract.source."
                ) from error
            if str(error).startswith(_PASSING):
                raise DependencyUnavailable(f"Redis at {self.shown} cannot serve now: {_words(error)}.") from error
            raise SourceError(f"Redis at {self.shown} refuses the stream '{self._stream}': {_words(error)}.") from error
        except RedisError as error:
            raise DependencyUnavailable(f"Redis at {self.shown} broke off: {_words(error)}. Try again.") from error

    async def close(self) -> None:
        """Close the connections to the server."""
        await self.redis.aclose()


def _words(error: Exception) -> str:
    return str(error).rstrip(".") or type(error).__name__
