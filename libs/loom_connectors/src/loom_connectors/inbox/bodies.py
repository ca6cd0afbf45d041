"""Writes a record that was given over HTTP as it waits in an inbox, and reads it again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from loom_connectors.ports.source import ReadRecord


def written(name: str, data: Mapping[str, Any]) -> bytes:
    """Return a record as it is kept. Python's JSON keeps every whole number, and halves of surrogate pairs."""
    return json.dumps([name, data], separators=(",", ":")).encode()


def read(body: bytes) -> ReadRecord:
    """Return the record that `written` wrote."""
    name, data = json.loads(body)
    return ReadRecord(f"record {name}", data)
