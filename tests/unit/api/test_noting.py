"""Tests that what is commanded is noted before it is done, and its outcome after."""

import asyncio
from contextlib import nullcontext

import pytest

from loom_api.running.noting import noted
from loom_common.domain.access import Viewer
from loom_common.errors import ConfigurationError
from loom_coordinator.db import audit_log
from loom_migrations.engine import open_engine
from loom_migrations.upgrade import upgrade

ANNA = Viewer("anna", "laptop")


@pytest.fixture
async def state_file(tmp_path):
    engine = open_engine(f"sqlite:///{tmp_path / 'loom.db'}")
    await upgrade(engine)
    yield engine
    await engine.dispose()


async def lines(engine):
    async with engine.connect() as connection:
        return [(each.user, each.token_name, each.outcome, each.reason, each.run_id)
                for each in await audit_log.page(connection, None, 10)]  # fmt: skip


@pytest.mark.parametrize(
    ("error", "outcome", "reason"),
    [
        (None, "done", None),
        (ConfigurationError("There is no such run."), "failed", "There is no such run."),
        (ValueError("a secret"), "failed", "ValueError"),
        (asyncio.CancelledError(), "asked", None),
    ],
)
async def test_an_act_is_noted_before_it_is_done_and_its_outcome_after(state_file, error, outcome, reason):
    with pytest.raises(type(error)) if error else nullcontext():
        async with noted(state_file, ANNA, "pause", "runs/p", "run_1", {"budget": None}):
            assert await lines(state_file) == [("anna", "laptop", "asked", None, "run_1")]
            if error:
                raise error
    assert await lines(state_file) == [("anna", "laptop", outcome, reason, "run_1")]
