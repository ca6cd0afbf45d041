"""Tests what is said of a journal that cannot be read."""

import pytest

from loom_ai.stores.beside_journal import open_journal
from loom_common.errors import DependencyUnavailable, PermanentError
from loom_dev.backends.ports import reserve_port

SECRET = "sk-very-secret-1234"


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_a_journal_without_its_table_is_said_with_the_remedy(kind, request, tmp_path):
    url = request.getfixturevalue("postgres").url if kind == "postgres" else f"sqlite:///{tmp_path}/empty.db"
    journal = open_journal(url)
    with pytest.raises(PermanentError, match=r"cannot be read: .*journal.* See that its migrations have run"):
        await journal.get_many(["k"])
    await journal.close()


async def test_postgres_that_is_away_is_said_without_its_password():
    journal = open_journal(f"postgresql://loom:{SECRET}@127.0.0.1:{reserve_port()}/loom")
    with pytest.raises(DependencyUnavailable, match="cannot be read") as caught:
        await journal.get_many(["k"])
    assert SECRET not in str(caught.value)
    await journal.close()
