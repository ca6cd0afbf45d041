"""Writes the records that were read at once as one message, which is kept as those of queues are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from loom_common.errors import RecordError
from loom_common.ports.received_pages import ReceivedMessage
from loom_connectors.ports.source import ReadRecord


@dataclass(frozen=True, slots=True)
class ReceivedRecords:
    """Holds records as `Received`. Nobody waits for their acknowledgement: their place is in `state`."""

    messages: Sequence[ReceivedMessage]
    state: Any
    end: bool = False

    async def acknowledge(self) -> None:
        return

    async def give_back(self) -> None:
        return


def written(records: Sequence[ReadRecord], identity: str | None = None) -> ReceivedMessage:
    """Return the message of these records. Python's JSON keeps every whole number, and halves of surrogate pairs."""
    rows = [[each.position, each.data, _of_error(each.error)] for each in records]
    return ReceivedMessage(json.dumps(rows, separators=(",", ":")).encode(), identity)


def records_of(body: bytes) -> list[ReadRecord]:
    """Return the records of a message."""
    return [ReadRecord(position, data, _error_of(error)) for position, data, error in json.loads(body)]


def _of_error(error: RecordError | None) -> list[Any] | None:
    return None if error is None else [str(error), error.code, error.details]


def _error_of(written: list[Any] | None) -> RecordError | None:
    if written is None:
        return None
    words, code, details = written
    return RecordError(words, code=code, details=details)
