from __future__ import annotations

import asyncio
import threading

import pytest

from loom_ai.providers.first_call import FirstCallClient
from loom_ai.stores.beside_journal import open_journal
from loom_ai.stores.memory.journal import MemoryJournal
from loom_ai.stores.redis.journal import RedisJournal
from loom_ai.stores.sql.journal import SqlJournal
from loom_common.errors import ConfigurationError
from support.scripted_model import ScriptedModel, answer_of, call_of


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


async def test_a_client_is_made_once_and_in_a_thread_while_the_process_goes_on():
    made: list[threading.Thread] = []
    may_import = threading.Event()

    def make() -> ScriptedModel:
        may_import.wait(30)
        made.append(threading.current_thread())
        return ScriptedModel(answer_of("fine"))

    client = FirstCallClient(make)
    calls = [asyncio.create_task(client.complete(call_of(str(number)))) for number in range(3)]
    abandoned = asyncio.create_task(client.complete(call_of()))
    await asyncio.sleep(0)
    abandoned.cancel()
    may_import.set()  # so the process did go on
    async with asyncio.timeout(30):
        answers = await asyncio.gather(*calls)
        await client.close()
    assert [each.text for each in answers] == ["fine"] * 3
    assert len(made) == 1
    assert made[0] is not threading.current_thread()


async def test_a_client_that_was_never_needed_is_never_made():
    await FirstCallClient(lambda: pytest.fail("nobody asked")).close()
