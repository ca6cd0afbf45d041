"""Tests that arrays are made buffer by buffer as `pyarrow.array` makes them, and that pandas is not imported for it."""

from __future__ import annotations

import subprocess
import sys

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loom_connectors.formats.arrow.array_buffers import plain_array
from loom_connectors.values import UnfitValue

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
INTEGERS = [getattr(pa, f"{sign}int{bits}")() for sign in ("", "u") for bits in (8, 16, 32, 64)]


def least_and_most(kind: pa.DataType) -> tuple[int, int]:
    bits = kind.bit_width
    return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if pa.types.is_signed_integer(kind) else (0, 2**bits - 1)


VALUES = [
    (pa.string(), TEXTS),
    (pa.large_string(), TEXTS),
    (pa.binary(), st.binary(max_size=20)),
    (pa.large_binary(), st.binary(max_size=20)),
    (pa.binary(3), st.binary(min_size=3, max_size=3)),
    (pa.bool_(), st.booleans()),
    (pa.float16(), st.floats(width=16)),
    (pa.float32(), st.floats(width=32)),
    (pa.float64(), st.floats()),
    *((kind, st.integers(*least_and_most(kind))) for kind in INTEGERS),
    (pa.null(), st.none()),
]


@pytest.mark.parametrize(("kind", "values"), VALUES, ids=lambda each: str(each)[:20])
@settings(max_examples=25)
@given(data=st.data())
def test_an_array_is_what_the_library_makes_of_the_values(kind, values, data):
    chosen = data.draw(st.lists(st.none() | values, max_size=20))
    made, known = plain_array(chosen, kind), pa.array(chosen, kind)
    made.validate(full=True)
    assert repr(made.to_pylist()) == repr(known.to_pylist())  # so that nan is nan
    assert (made.type, made.null_count) == (known.type, known.null_count)


@pytest.mark.parametrize("kind", INTEGERS, ids=str)
def test_an_integer_that_the_type_does_not_hold_is_named(kind):
    for outside in (least_and_most(kind)[0] - 1, least_and_most(kind)[1] + 1):
        with pytest.raises(UnfitValue, match=f"the integer {outside} is outside what {kind} holds"):
            plain_array([0, None, outside], kind)


def test_what_another_type_does_not_hold_is_refused():
    with pytest.raises(UnfitValue, match="0 bytes, and the column holds 3 each"):
        plain_array([b"abc", b""], pa.binary(3))
    with pytest.raises(UnfitValue, match="holds nulls alone"):
        plain_array([None, "a"], pa.null())
    with pytest.raises(UnfitValue, match="columns of type duration"):
        plain_array([1], pa.duration("s"))


WRITTEN_AND_READ = """
import asyncio, sys
from pathlib import Path
from loom_common.config.credentials import Credentials
from loom_common.domain.definition.pipeline import ExtractConfig, LoadConfig
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.destination import LoadBatch, Row
from loom_connectors.registry import open_destination, open_source

async def main(name, types, values):
    context = ConnectorContext(Path(sys.argv[1]), Credentials())
    destination = open_destination(LoadConfig(destination=name, options={"types": types}), context)
    assert (await destination.load(LoadBatch("r", "b", 0, 0, 0, [Row("1", values), Row("2", {"n": None})]))).loaded == 2
    await destination.finalize("r", complete=True)
    source = open_source(ExtractConfig(source=name), context)
    assert [each.data for each in (await source.read(None, 9)).records][0] == values
    await source.close()

asyncio.run(main(sys.argv[2], {}, {"n": 1, "x": 0.5, "s": "a", "b": True}))
assert "pyarrow.compute" not in sys.modules
types = {
    "d": "decimal(5,2)", "at": "nanosecond timestamp", "t": "time", "y": "date", "j": "json", "z": "bytes",
    "f": "float32", "l": "list of date",
}
rare = {
    "d": "1.50", "at": "2024-02-29T10:00:00.000000001+00:00", "t": "12:00:00", "y": "2024-02-29", "j": {"a": [1, "x"]},
    "z": {"$bytes": "00"}, "f": 0.1, "l": ["2024-02-29"], "o": {"a": 1},
}
asyncio.run(main("of_types_" + sys.argv[2], types, {"n": 1, **rare}))
assert "pandas" not in sys.modules
"""


@pytest.mark.parametrize("name", ["out.parquet", "out.arrow"])
def test_files_are_written_and_read_without_pandas(tmp_path, name):
    told = subprocess.run(
        [sys.executable, "-c", WRITTEN_AND_READ, str(tmp_path), name], capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stderr
