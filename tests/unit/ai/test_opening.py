from __future__ import annotations

import pytest

from loom_ai.compose import open_journal
from loom_ai.stores.memory.journal import MemoryJournal
from loom_ai.stores.redis.journal import RedisJournal
from loom_ai.stores.sql.journal import SqlJournal
from loom_common.errors import ConfigurationError


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("memory://", MemoryJournal),
        ("sqlite:///.loom/journal.db", SqlJournal),
        ("postgresql://loom:secret@db/loom", SqlJournal),
        ("postgres://loom:secret@db/loom", SqlJournal),
        ("redis://cache:6379/0", RedisJournal),
    ],
)
async def test_a_journals_address_says_where_it_lies(url, kind, tmp_path):
    journal = open_journal(url, tmp_path)
    assert isinstance(journal, kind)
    await journal.close()


async def test_a_relative_file_lies_below_the_folder(tmp_path):
    await open_journal("sqlite:///.loom/journal.db", tmp_path).close()
    assert (tmp_path / ".loom").is_dir()


def test_an_unknown_address_is_refused_without_showing_it():
    with pytest.raises(ConfigurationError, match=r"'mysql:'.*LOOM_JOURNAL_URL") as caught:
        open_journal("mysql://user:secret@db/x")
    assert "secret" not in str(caught.value)
