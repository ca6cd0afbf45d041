"""Sets up and closes clients of Kafka: what both have in common that Loom has, one to read and one to ask.

The library behind them blocks, reports errors of connections by a callback, and writes lines of its own, all of which
is kept from the event loop and from the terminal."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from confluent_kafka import KafkaError

from loom_connectors.kafka.address import Address

CLOSE_SECONDS = 3.0
"""The most that is waited for a client to close: it may wait for brokers that are away."""
_MUTE = logging.getLogger("loom.kafka.client")
_MUTE.addHandler(logging.NullHandler())
_MUTE.propagate = False


class Troubles:
    """Remembers what a client says of its connections while nothing is asked of it."""

    def __init__(self) -> None:
        self.last: KafkaError | None = None
        self.refusal: KafkaError | None = None
        """Holds why a broker did not let the client in, which it says only here, and not in an answer."""

    def note(self, error: KafkaError) -> None:
        """Take what the client tells, in whichever thread."""
        if self.last is None or error.code() != KafkaError._ALL_BROKERS_DOWN:  # that says of none what is wrong
            self.last = error
        if error.code() in (KafkaError._AUTHENTICATION, KafkaError._SSL):
            self.refusal = error

    def clear(self) -> None:
        """Forget what the brokers were seen to fail with, because they have answered since."""
        self.last = self.refusal = None


def settings_of_client(address: Address, troubles: Troubles) -> tuple[dict[str, Any], logging.Logger]:
    """Return the settings of a client, and the logger that takes its lines."""
    settings = {
        **address.client,
        "client.id": "loom",
        "error_cb": troubles.note,
        # The first pause counts: while something is asked, the longest one is not heeded, and a tenth of a second, the
        # default, comes to twenty attempts a second for as long as the brokers are away.
        "reconnect.backoff.ms": 1000,
        "reconnect.backoff.max.ms": 2000,
        "log.connection.close": False,
    }
    return settings, _MUTE


def closing_aside(close: Callable[[], object]) -> Future[None]:
    """Begin to close a client in a thread that nobody waits for at the end of the process."""
    done: Future[None] = Future()

    def run() -> None:
        try:
            close()
        finally:
            done.set_result(None)

    threading.Thread(target=run, name="closing-kafka", daemon=True).start()
    return done


async def closed_aside(close: Callable[[], object]) -> None:
    """Close a client in a thread of its own, and wait for that for `CLOSE_SECONDS` at most."""
    await asyncio.wait([asyncio.wrap_future(closing_aside(close))], timeout=CLOSE_SECONDS)
