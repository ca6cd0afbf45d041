"""Decides by the key of a record which of two versions of a pipeline takes it, while a canary is on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from loom_common.contracts.v1 import ExtractSlice
from loom_common.domain.checks.record_checks import key_of
from loom_common.domain.run.piece import Share
from loom_common.worker.slices import SliceRecord
from loom_connectors.ports.source import ReadRecord


def of_slice(request: ExtractSlice) -> Share | None:
    """Return which records of a slice are wanted; None for all."""
    return None if request.piece is None else request.piece.share


def wanted(share: Share | None, read: Sequence[ReadRecord], records: Sequence[SliceRecord]) -> list[SliceRecord]:
    """Return those of the `records` that belong to a share. They were made of the records that were `read`."""
    if share is None:
        return list(records)
    return [record for each, record in zip(read, records, strict=True) if takes(share, each)]


def takes(share: Share, read: ReadRecord) -> bool:
    """Tell whether a record belongs to a share. It depends on what was read alone, and on no version of the pipeline:
    on the record's key, or on its place where it has none."""
    is_whole = bool(share.keys) and all(read.data.get(key) not in (None, "") for key in share.keys)
    name = key_of(read.data, share.keys) if is_whole else read.position
    # Evaluators draw samples by a hash of the key alone. With the same one, they would draw all of these, or none.
    place = int.from_bytes(hashlib.sha256(f"canary/{name}".encode("utf-8", "surrogatepass")).digest()[:8])
    return (place / 2**64 < share.canary) == share.on_trial
