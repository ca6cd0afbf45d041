"""Defines how ids are made and checked. Whatever may be delivered twice has an id that is derived from its content, so
that a repetition is recognised."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import orjson

from loom_common.text import readable, storable

_NAMESPACE = UUID("6b3f0a52-7c1e-5d5e-9a4b-1f6f0c9b7a11").bytes
_sha256, _dumps, _SORTED = hashlib.sha256, orjson.dumps, orjson.OPT_SORT_KEYS
_LONGEST = 200
"""The most characters of an id, which stands in tables, logs and commands. A longer key is cut and ends in its hash."""


def new_run_id() -> str:
    """Return a new run id: `run_` and 12 hexadecimal digits, short enough to type."""
    return f"run_{secrets.token_hex(6)}"


def run_id_for(idempotency_key: str) -> str:
    """Return the run id of an idempotency key. Equal keys give equal run ids."""
    return f"run_{_hex(readable(f'run/{idempotency_key}'))[:12]}"


_SPAWNED = "spawned"


def spawn_key(pipeline: str, run_id: str, child: str) -> str:
    """Return the idempotency key of the run of `child` that a run of `pipeline` spawns: it has one, whoever asks for it
    and how often."""
    return f"{_SPAWNED}/{pipeline}/{run_id}/{child}"


def spawned_in(definition: Mapping[str, Any]) -> list[str]:
    """Return the pipelines that one spawns, as written."""
    written = definition.get("spawn") or []
    return [written] if isinstance(written, str) else list(written)


def spawner_of(idempotency_key: str | None) -> tuple[str, str] | None:
    """Return the pipeline and the run that have spawned the run of a key; None for one that none has."""
    parts = (idempotency_key or "").split("/")
    return (parts[1], parts[2]) if len(parts) == 4 and parts[0] == _SPAWNED else None


STREAM_PREFIX = "stream_"
"""Begins the id of a stream, which no run has."""


def stream_id_for(pipeline: str, source: str) -> str:
    """Return the id of the stream of a pipeline over a source: `stream_` and 12 hexadecimal digits."""
    return f"{STREAM_PREFIX}{_hex(readable(f'stream/{pipeline}/{source}'))[:12]}"


def window_run_id(stream: str, number: int) -> str:
    """Return the id of the run that is a window of a stream."""
    return run_id_for(f"{stream}/{number}")


_CANARY = "c"


def canary_run_id(window: str) -> str:
    """Return the id of the run that reads the share of a version on trial beside a window of its stream. It sorts after
    that of the window, so that both are locked in one order everywhere."""
    return f"{window}{_CANARY}"


def window_beside(run_id: str) -> str | None:
    """Return the window beside which a run reads the share of a version on trial; None for any other run."""
    return run_id[:-1] if len(run_id) == _LONG_RUN_ID and run_id.endswith(_CANARY) else None


_LONG_RUN_ID = len("run_") + 12 + len(_CANARY)


def bounded(text: str) -> str:
    """Return an id of bounded length and characters. Where it was changed, it ends in a hash of the original."""
    held = storable(text)
    if held == text and len(text) <= _LONGEST:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return f"{held[: _LONGEST - 33]}~{digest}"


def batch_id(run_id: str, partition: int, slice_no: int, position: int) -> str:
    """Return the id of a batch, which does not depend on attempt or epoch: extracting again gives the same ids."""
    return _uuid(f"batch/{run_id}/{partition}/{slice_no}/{position}")


def thread_id(origin_run_id: str, record_id: str) -> str:
    """Return the id of a record that stays the same through all replays of the run that first read it."""
    return _uuid(f"thread/{origin_run_id}/{record_id}")


def message_id(*parts: object) -> str:
    """Return the id of a message, derived from its content, so that publishing it again gives the same id."""
    return _uuid(readable("message/" + "/".join(map(str, parts))))


def _uuid(name: str) -> str:
    """Return the UUID of version 5 (RFC 9562) of a name, as text. Each message has several, and the standard library's
    class takes five times as long."""
    digits = _hex(name)
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _hex(name: str) -> str:
    digest = bytearray(hashlib.sha1(_NAMESPACE + name.encode(), usedforsecurity=False).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    return digest.hex()


def content_hash(data: bytes) -> str:
    """Return the SHA-256 as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def record_hash(data: Mapping[str, Any], position: str, written: bytes | None = None) -> str:
    """Return the identity of a record without a key, from its content and its position, which tells equal rows apart.

    `written` is the record's `sorted_json`, where the caller has it."""
    content = written if written is not None else sorted_json(data)
    if content is None:
        content = json.dumps(data, sort_keys=True, default=str).encode()
    return _sha256((position + "\n").encode("utf-8", "surrogatepass") + content).hexdigest()[:32]


def sorted_json(data: Mapping[str, Any]) -> bytes | None:
    """Return a record as JSON, with its names in order. None where the encoder refuses it: it holds an integer beyond
    64 bits, half a surrogate pair, or a value that is not JSON."""
    try:
        return _dumps(data, None, _SORTED)
    except TypeError:
        return None


def state_name(pipeline: str, target: str | None) -> str:
    """Return the name under which is kept what a pipeline learns from run to run, for each target apart: up to where it
    has read its source, and the schemas of its records. No pipeline's name has an `@`."""
    return pipeline if target is None else f"{pipeline}@{target}"
