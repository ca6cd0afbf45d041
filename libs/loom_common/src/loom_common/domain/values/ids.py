"""Identities. Everything that may be delivered twice has a derived id, so that twice is once."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid5

import orjson

from loom_common.text import readable

_NAMESPACE = UUID("6b3f0a52-7c1e-5d5e-9a4b-1f6f0c9b7a11")


def new_run_id() -> str:
    """A fresh run id: `run_` and 12 hexadecimal digits, short enough to type."""
    return f"run_{secrets.token_hex(6)}"


def run_id_for(idempotency_key: str) -> str:
    """The run id of an idempotency key: the same key twice is the same run."""
    return f"run_{uuid5(_NAMESPACE, readable(f'run/{idempotency_key}')).hex[:12]}"


def batch_id(run_id: str, partition: int, slice_no: int, position: int) -> str:
    """The id of a batch, whatever the attempt or epoch: extracting again yields the same batches."""
    return str(uuid5(_NAMESPACE, f"batch/{run_id}/{partition}/{slice_no}/{position}"))


def thread_id(origin_run_id: str, record_id: str) -> str:
    """The id of a record through all replays of the run that first read it."""
    return str(uuid5(_NAMESPACE, f"thread/{origin_run_id}/{record_id}"))


def message_id(*parts: object) -> str:
    """The id of a message, from what it says: a redelivered cause republishes the same ids."""
    return str(uuid5(_NAMESPACE, readable("message/" + "/".join(map(str, parts)))))


def content_hash(data: bytes) -> str:
    """64 hexadecimal digits (SHA-256)."""
    return hashlib.sha256(data).hexdigest()


def record_hash(data: Mapping[str, Any], position: str) -> str:
    """The identity of a record without a key: its content, and its position in the source to tell equal rows apart."""
    return hashlib.sha256(position.encode("utf-8", "surrogatepass") + b"\n" + _canonical(data)).hexdigest()[:32]


def _canonical(data: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(data, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # an integer beyond 64 bits, half a surrogate pair, a value that is no JSON
        return json.dumps(data, sort_keys=True, default=str).encode()
