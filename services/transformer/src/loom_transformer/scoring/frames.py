"""Says what a process that scores and the worker that started it write to each other: JSON after its length."""

from __future__ import annotations

import json
import struct
from typing import Any

LENGTH = struct.Struct(">Q")
"""Stands before each document: its length in bytes."""


def framed(document: Any) -> bytes:
    """Return a document as it is written."""
    data = json.dumps(document).encode("ascii")
    return LENGTH.pack(len(data)) + data


def read(data: bytes) -> Any:
    """Return the document that stands after a length."""
    return json.loads(data)
