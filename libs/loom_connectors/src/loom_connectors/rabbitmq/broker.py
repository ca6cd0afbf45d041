"""Keeps the connection of a source or a destination to RabbitMQ, and says in Loom's errors what the broker refuses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiormq
from aiormq.exceptions import (
    ChannelAccessRefused,
    ChannelClosed,
    ChannelLockedResource,
    ChannelNotFoundEntity,
)

from loom_common.adapters.amqp.channel import AmqpPublishingChannel
from loom_common.adapters.amqp.connection import LOST, AmqpConnection
from loom_common.adapters.amqp.uninterrupted import cancelled_by_us
from loom_common.errors import AccessRefused, DependencyUnavailable, PermanentError
from loom_connectors.rabbitmq.address import Address

_PATIENCE_SECONDS = 10.0
"""Says how long an operation waits for a broker that cannot be reached."""


class Broker:
    """Represents one connection, which is opened when it is first used and again when it is lost."""

    def __init__(self, address: Address, section: str, error: type[PermanentError]) -> None:
        """`section` names the key of the pipeline file that has the address; `error` is raised for what is missing at
        the broker."""
        self.shown = address.shown
        self._url = address.url
        self._section = section
        self._error = error
        self._connection: AmqpConnection | None = None
        self._opening = asyncio.Lock()

    async def channel(self) -> aiormq.Channel:
        """Open a channel. Raises `AccessRefused`, `DependencyUnavailable`, and one of `LOST`."""
        return await (await self._opened()).channel(patience=_PATIENCE_SECONDS)

    async def publishing_channel(self) -> AmqpPublishingChannel:
        """Open a channel with confirms. Raises what `channel` raises."""
        return await (await self._opened()).publishing_channel(patience=_PATIENCE_SECONDS)

    async def _opened(self) -> AmqpConnection:
        async with self._opening:
            if self._connection is None:
                self._connection = await AmqpConnection.open(
                    self._url, name="loom", patience=_PATIENCE_SECONDS, named_by=self._section
                )
            return self._connection

    @asynccontextmanager
    async def errand(self, what: str, permission: str) -> AsyncIterator[aiormq.Channel]:
        """Open a channel for a few commands about `what`, e.g. `the queue 'reviews'`, and close it afterwards. Raises
        what `trouble` raises."""
        async with self.trouble(what, permission):
            channel = await self.channel()
            try:
                yield channel
            finally:
                await channel.close()

    @asynccontextmanager
    async def trouble(self, what: str, permission: str) -> AsyncIterator[None]:
        """Raise an error of Loom's for one of the broker's. `permission` is what the user needs: `read` or `write`."""
        try:
            yield
        except ChannelNotFoundEntity as error:
            raise self._error(
                f"RabbitMQ at {self.shown} has not {what}. Declare it there, or correct {self._section}."
            ) from error
        except ChannelAccessRefused as error:
            raise AccessRefused(
                f"RabbitMQ at {self.shown} refuses {what}: {error}. Grant the user the permission to {permission}."
            ) from error
        except ChannelLockedResource as error:
            raise self._error(
                f"RabbitMQ at {self.shown} gives {what} to another connection alone, which declared it as exclusive."
            ) from error
        except ChannelClosed as error:
            raise self._error(f"RabbitMQ at {self.shown} refuses {what}: {error}.") from error
        except LOST as error:
            if isinstance(error, asyncio.CancelledError) and cancelled_by_us():
                raise
            words = str(error) or type(error).__name__
            raise DependencyUnavailable(
                f"RabbitMQ at {self.shown} broke off: {words}. Check that it runs and try again."
            ) from error

    async def close(self) -> None:
        """Close the connection to the broker, where one is open."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            await connection.close()
