"""Tests how answers that hold sensitive values are kept."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest

from loom_ai.journal.claims import Claim, MemoryClaims
from loom_ai.keys import SEALED, cut_off, key_of, last_answer_of, shared_by
from loom_ai.ports import NOTED, Entry, Payer
from loom_ai.stores.memory.journal import MemoryJournal
from loom_ai.stores.sealed import SealedClaims, SealedJournal
from loom_common.config.credentials import Credentials
from loom_common.errors import PermanentError
from loom_common.ports.clock import SystemClock
from loom_common.sealing.keyring import Keyring
from support.scripted_model import answer_of, call_of

QUESTION = call_of("What of ada@example.org?", sealed=True)
PAYER = Payer("run_1", "r1")


@pytest.fixture
def ring(monkeypatch):
    """Provide a function that makes a key ring of keys by their numbers."""

    def of(*numbers: int) -> Keyring:
        for number in numbers:
            monkeypatch.setenv(f"KEY_{number}", base64.b64encode(bytes([number]) * 32).decode())
        return Keyring([f"${{KEY_{number}}}" for number in numbers], Credentials())

    return of


def entry(key: str, text: str = "she is ada", *, sealed: bool = True, purpose: str = "transform") -> Entry:
    return Entry(key, PAYER, purpose, "openai", "gpt-4o-mini", answer_of(text), 0.1, SystemClock().now(), sealed=sealed)


async def test_no_store_sees_a_question_or_an_answer(ring):
    inner = MemoryJournal()
    journal = SealedJournal(inner, ring(1))
    key = key_of(QUESTION)
    assert key == SEALED + key_of(replace(QUESTION, sealed=False))
    keys = [key, cut_off(key, 0), shared_by(key), cut_off(shared_by(key), 1)]
    await journal.put_many([entry(each, f"{each} ada") for each in keys])
    await journal.put_many([entry(last_answer_of("p", "r1"), "ada", purpose=NOTED)])
    found = await journal.get_many([*keys, last_answer_of("p", "r1")])
    assert [found[each].answer.text for each in keys] == [f"{each} ada" for each in keys]
    assert found[last_answer_of("p", "r1")].answer.text == "ada"
    assert {found[each].key for each in keys} == set(keys)
    assert len(inner._entries) == 5
    assert not [name for name in inner._entries if name.startswith(SEALED) or name in key]
    assert all(len(name) == 64 for name in inner._entries)
    assert "ada" not in repr([each.answer.text for each in inner._entries.values()])


async def test_answers_are_found_while_keys_are_changed(ring):
    inner = MemoryJournal()
    await SealedJournal(inner, ring(1)).put_many([entry(key_of(QUESTION))])
    for numbers, there in (((2, 1), True), ((1, 2), True), ((2,), False)):
        found = await SealedJournal(inner, ring(*numbers)).get_many([key_of(QUESTION)])
        assert bool(found) is there, numbers


async def test_what_is_not_sensitive_passes_as_it_is_and_needs_no_key():
    inner = MemoryJournal()
    journal = SealedJournal(inner, Keyring((), Credentials()))
    plain = entry(key_of(replace(QUESTION, sealed=False)), sealed=False)
    await journal.put_many([plain])
    assert (await journal.get_many([plain.key])) == {plain.key: plain} == inner._entries
    with pytest.raises(PermanentError, match="No key of sensitive fields is named"):
        await journal.get_many([key_of(QUESTION)])


async def test_an_answer_that_only_looks_sealed_or_was_moved_is_none(ring):
    inner = MemoryJournal()
    journal = SealedJournal(inner, ring(1))
    plain = entry("a" * 64, "loom-sealed.1.AAAA", sealed=False)
    await journal.put_many([plain, entry(key_of(QUESTION))])
    assert await journal.get_many([plain.key]) == {}
    (name,) = [each for each in inner._entries if each != plain.key]
    moved = replace(inner._entries[name], key="b" * 64)
    await inner.put_many([moved])
    assert await journal.get_many([moved.key]) == {}


async def test_claims_have_the_names_of_the_journal(ring):
    inner = MemoryClaims()
    claims = SealedClaims(inner, ring(1))
    mine, theirs = Claim.of(key_of(QUESTION), PAYER), Claim.of(key_of(QUESTION), Payer("run_2", "r1"))
    assert await claims.take([mine]) == [True]
    assert await claims.take([theirs]) == [False]
    assert not [key for key in inner._held if SEALED in key or len(key) != 64]
    await claims.release([mine])
    assert await claims.take([theirs]) == [True]
