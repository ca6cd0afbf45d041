"""Tests which destinations a stream can have whose records stay in sequence."""

from __future__ import annotations

from unittest.mock import AsyncMock

import pytest

from loom_common.domain.definition.load import LoadConfig
from loom_connectors.ports.destination import Destination, Guarantee
from loom_connectors.ports.readiness import of_destination

LOAD = LoadConfig(destination="sqlite:///o.db?table=t", mode="append")


@pytest.mark.parametrize("guarantee", list(Guarantee))
async def test_a_destination_that_may_write_a_batch_again_keeps_no_sequence(guarantee):
    destination = AsyncMock(spec=Destination, guarantee=guarantee, effect="it adds")
    exactly_once = guarantee in (Guarantee.LEDGER, Guarantee.OBJECT)
    [checked] = await of_destination(destination, LOAD, "destination", str, in_sequence=True)
    assert checked.ok == exactly_once
    assert ("`order_by` needs" in checked.detail) != exactly_once
    assert (await of_destination(destination, LOAD, "destination", str))[0].ok
