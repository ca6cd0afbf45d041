"""Sends records from a source through messages into a destination, and values to try that with."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from loom_common import flow
from loom_common.config.credentials import Credentials
from loom_common.config.secrets.environment import EnvProvider
from loom_common.contracts.encoding import codec
from loom_common.contracts.envelope import Outgoing
from loom_common.contracts.v1 import BatchEvaluated, EvaluatedRecord
from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.definition.load import LoadConfig
from loom_common.ports.bus import Delivery
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.destination import LoadBatch, Row
from loom_connectors.ports.source import ReadRecord, Source
from loom_connectors.registry import open_destination, open_source
from support.pieces import read_through
from support.plans import batch_of, plan_of

EXAMPLES = int(os.environ.get("LOOM_ROUND_TRIPS", "15"))
"""Examples of each pair of systems; `LOOM_ROUND_TRIPS=2000` is the long form."""

tried = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)

TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=12)
INT64 = st.integers(-(2**63), 2**63 - 1)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.none() | st.booleans() | st.integers() | FLOATS | TEXT
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


def on_the_wire(records: Sequence[ReadRecord]) -> list[dict[str, Any]]:
    """Return the records' data as the loader gets it: written into a message and read from it."""
    header = batch_of(plan_of({"type": "passthrough"}), []).header
    passed = [EvaluatedRecord(id=each.position, input=each.data, output=None) for each in records]
    wire = codec.encode(Outgoing(flow.work("load", "reviews"), BatchEvaluated(header=header, records=passed)), "test")
    message = codec.decode(delivered(wire))
    assert isinstance(message, BatchEvaluated)
    read = [record.result for record in message.records]
    handed_over = [each.result for each in passed]
    assert repr(read) == repr(handed_over), "a bus within one process would hand over other values"
    return read


def delivered(wire: Any) -> Delivery:
    """Return what a broker delivers of what was sent: the encoded message alone."""

    class Delivered:
        body, message, type, content_encoding = wire.body, None, wire.type, wire.content_encoding
        headers = wire.headers

    return Delivered()  # type: ignore[return-value]


async def _read(source: Source) -> list[ReadRecord]:
    try:
        return await read_through(source, 3)
    finally:
        await source.close()


async def carried(
    folder: Path, source: str, destination: str, run: str, env: Mapping[str, str] | None = None, **extract: Any
) -> tuple[list[ReadRecord], set[int]]:
    """Load every record of `source` that can be used. Returns all, and the places of those that were refused."""
    context = ConnectorContext(folder, Credentials({"env": EnvProvider(dict(env or {}))}))
    reading = open_source(ExtractConfig(source=source, **extract), context)
    writing = open_destination(LoadConfig(destination=destination), context)
    try:
        records = await _read(reading)
        kept = {at for at, record in enumerate(records) if record.error is not None}
        usable = [at for at in range(len(records)) if at not in kept]
        data = on_the_wire([records[at] for at in usable])
        rows = [Row(str(at), each) for at, each in zip(usable, data, strict=True)]
        result = await writing.load(LoadBatch(run, "b", 0, 0, 0, rows))
        await writing.finalize(run, complete=True)
    finally:
        await writing.close()
    assert result.loaded + len(result.failed) == len(rows)
    return records, kept | {int(each.record_id) for each in result.failed}


def same(one: Any, other: Any) -> bool:
    """Equal in type, too: 1 is not 1.0 and not true, and 0.0 is not -0.0."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and repr(one) == repr(other)
