"""Which records a sample takes: always the same ones, whatever their order, batch or run. Pure."""

from __future__ import annotations

import hashlib


def sampled(record_id: str, share: float) -> bool:
    """Whether a sample of `share` (0 to 1) takes the record. A larger sample takes all that a smaller one does."""
    if share >= 1.0:
        return True
    place = int.from_bytes(hashlib.sha256(record_id.encode()).digest()[:8])
    return place / 2**64 < share
