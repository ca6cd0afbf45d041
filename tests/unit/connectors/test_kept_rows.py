"""Tests the destination that keeps a run's rows for the Python code that started it."""

import base64
import io
import os
from pathlib import Path

import pytest

from loom_common.adapters.payloads.folder import FolderPayloads
from loom_common.config.credentials import Credentials
from loom_common.domain.definition.load import LoadConfig
from loom_common.domain.values.stored_records import destination_of, new_rows_owner
from loom_common.errors import ConfigurationError, DestinationError
from loom_common.sealing.keyring import Keyring
from loom_common.sealing.payloads import SealedPayloads
from loom_connectors.given.kept import gather
from loom_connectors.given.pieces import unpacked
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.destination import LoadBatch, Row
from loom_connectors.registry import open_destination

OWNER = new_rows_owner()


@pytest.fixture
def payloads(tmp_path):
    return FolderPayloads(tmp_path / "payloads")


def opened(payloads, owner=OWNER):
    context = ConnectorContext(folder=Path(), credentials=Credentials({}), payloads=payloads)
    return open_destination(LoadConfig(destination=destination_of(owner)), context)


def batch(*values, run="run_1", place=(0, 0, 0), origin=None):
    rows = [Row(f"r{n}", {"n": n, "text": "«a»\nb"}) for n in values]
    return LoadBatch(run, f"b{place}", *place, rows, origin)


async def gathered(payloads, run="run_1"):
    stream = io.BytesIO()
    return await gather(payloads, OWNER, run, stream), stream.getvalue().decode()


async def test_rows_come_back_in_the_order_of_the_source_whatever_order_batches_come_in(payloads):
    rows = opened(payloads)
    await rows.check()
    for place, n in [((1, 0, 0), 5), ((0, 10, 0), 4), ((0, 2, 11), 3), ((0, 2, 2), 2), ((0, 0, 0), 1)]:
        assert (await rows.load(batch(n, place=place))).loaded == 1
    await rows.load(batch(9, run="run_10", place=(0, 0, 1)))
    count, text = await gathered(payloads)
    assert (count, [line[:7] for line in text.splitlines()]) == (5, [f'{{"n":{n},' for n in range(1, 6)])


async def test_a_batch_that_is_loaded_again_with_other_rows_stays_what_it_was(payloads):
    first = await opened(payloads).load(batch(1, 2))
    again = await opened(payloads).load(batch(1, 2, 3))
    assert (first.loaded, again.loaded) == (2, 2)
    assert (await gathered(payloads))[0] == 2


async def test_rows_of_a_pipeline_with_sensitive_fields_are_kept_encrypted(payloads, tmp_path, monkeypatch):
    monkeypatch.setenv("ROWS_KEY", base64.b64encode(os.urandom(32)).decode())
    sealed = SealedPayloads(payloads, Keyring(["${ROWS_KEY}"], Credentials()), "people")
    assert (await opened(sealed).load(batch(1, 2))).loaded == 2
    assert (await opened(sealed).load(batch(1, 2, 3))).loaded == 2
    assert (await gathered(sealed))[0] == 2
    [kept] = (tmp_path / "payloads" / OWNER).iterdir()
    with pytest.raises(ValueError, match=r"zstd|frame|header"):
        unpacked(kept.read_bytes())


async def test_a_batch_without_rows_keeps_nothing(payloads):
    assert (await opened(payloads).load(batch())).loaded == 0
    assert await gathered(payloads) == (0, "")


async def test_a_replay_is_refused_because_nobody_waits_for_its_rows(payloads):
    with pytest.raises(DestinationError, match="run_0 were given to the Python code"):
        await opened(payloads).load(batch(1, origin="run_0"))


@pytest.mark.parametrize("owner", ["../../etc", "given_" + "a" * 32, "kept_1"])
def test_what_no_run_keeps_is_refused(payloads, owner):
    with pytest.raises(ConfigurationError, match="no pipeline can name"):
        opened(payloads, owner)
    with pytest.raises(ConfigurationError, match="no pipeline can name"):
        opened(None)
