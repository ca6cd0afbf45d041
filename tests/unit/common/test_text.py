"""Every text is made storable where it enters, and the report of a failure cannot fail."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loom_common import flow
from loom_common.contracts.encoding.codec import decode, encode
from loom_common.contracts.envelope import Outgoing
from loom_common.contracts.v1 import (
    BatchHeader,
    BatchTransformed,
    KeptRecord,
    RecordsQuarantined,
    StageFailed,
    TransformedRecord,
)
from loom_common.domain.run.tally import Tally
from loom_common.domain.values.ids import message_id, record_hash, run_id_for
from loom_common.errors import LoomError, RecordError
from loom_common.flow import Stage
from loom_common.ports.bus import Wire
from loom_common.text import LONGEST_REASON, named, readable, storable, storable_value, unstorable, words_of
from loom_common.user_code.narrowing import narrowed

ANY_TEXT = st.text(st.characters(codec=None), max_size=40) | st.text(
    st.sampled_from("a\x00\ud800\udfff\U0001f600\x1b\x85\ufffe\r\n\"'<"), max_size=20
)
"""Text as user code may hold it: halves of surrogate pairs, NUL and control characters included."""
ANY_VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT | st.binary(max_size=5) | st.dates(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4) | st.tuples(inner),
    max_leaves=12,
)


class Hostile(Exception):
    """Refuses to be shown."""

    def __str__(self) -> str:
        raise RuntimeError("not even that")


def _delivered(wire: Wire) -> Any:
    """Return the wire as it is delivered, as far as decoding looks at it."""
    return SimpleNamespace(body=wire.body, message=None, type=wire.type, content_encoding=wire.content_encoding)


@given(ANY_TEXT)
def test_storable_text_is_utf8_without_nul_and_as_it_was_where_it_could_stay(text):
    held = storable(text)
    assert "\x00" not in held
    held.encode()
    if "\x00" not in text and not any("\ud800" <= each <= "\udfff" for each in text):
        assert held == text
    readable(text).encode()
    readable(text).encode("utf-16")


def test_a_cut_emoji_is_marked_and_a_pair_of_halves_is_the_emoji_it_stands_for():
    assert readable("hi \ud83d") == "hi \ufffd"
    assert readable("hi \ud83d\ude00!") == "hi \U0001f600!"
    assert storable("a\x00b") == "a\ufffdb"


@given(ANY_VALUE)
def test_what_is_made_storable_can_be_stored(value):
    assert unstorable(storable_value(value)) is None
    json.dumps(storable_value({"value": value})).encode()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("bad \ud800 \x00"), "ValueError: bad \ufffd \ufffd"),
        (Hostile(), "Hostile: (Hostile, which cannot be shown: its text raised RuntimeError)"),
        (KeyError(3), "KeyError: 3"),
        (ValueError(), "ValueError"),
        (ExceptionGroup("g", [ValueError("a"), ExceptionGroup("h", [KeyError("b")])]), "ValueError: a; KeyError: 'b'"),
    ],
)
def test_every_error_has_words(error, words):
    assert named(error) == words


def test_the_words_of_an_error_are_bounded():
    assert len(words_of(ValueError("x" * 10_000_000))) == LONGEST_REASON


@given(ANY_TEXT, st.dictionaries(ANY_TEXT, ANY_VALUE, max_size=3))
def test_a_records_error_can_be_told_whatever_it_was_made_of(text, details):
    error = RecordError(text, code="x", details=details)
    kept = KeptRecord(
        record_id="1", outcome="quarantined", code="x", reason=str(error), input={}, details=error.details
    )
    message = RecordsQuarantined(run_id="r", pipeline="p", batch_id="b", stage=Stage.EXTRACT, records=(kept,))
    again = decode(_delivered(encode(Outgoing(flow.quarantine(Stage.EXTRACT, "p"), message), "test")))
    assert isinstance(again, RecordsQuarantined)
    assert again.records[0].reason == str(error)


@given(ANY_TEXT, st.dictionaries(ANY_TEXT, ANY_VALUE, max_size=3))
def test_a_report_is_written_whatever_it_holds(text, data: dict[str, Any]):
    kept = KeptRecord.model_construct(
        record_id=text, outcome="quarantined", code=text, reason=text, input=data, output=data, scores={}, details=data
    )
    quarantined = RecordsQuarantined(run_id="r", pipeline="p", batch_id="b", stage=Stage.LOAD, records=())
    quarantined = quarantined.model_copy(update={"records": (kept,)})
    failed = StageFailed(run_id="r", epoch=1, stage=Stage.LOAD, reason=text)
    for route, message in (
        (flow.quarantine(Stage.LOAD, "p"), quarantined),
        (flow.fact("stage", "failed", "p"), failed),
    ):
        wire = encode(Outgoing(route, message), "test")
        assert wire.message_id
        decode(_delivered(wire))


def test_work_is_exact_or_not_written():
    header = BatchHeader(
        run_id="r", pipeline="p", plan="x", epoch=1, batch_id="b", partition=0, slice=0, position=0, tally=Tally()
    )
    batch = BatchTransformed(header=header, records=(TransformedRecord("1", {"a": "\ud800"}, None),))
    with pytest.raises(ValueError, match="surrogates"):
        encode(Outgoing(flow.work(Stage.EVALUATE, "p"), batch), "test")


@given(ANY_TEXT)
def test_ids_are_made_of_any_text(text):
    assert message_id("a", text)
    assert run_id_for(text).startswith("run_")
    assert record_hash({"a": text, text: 1}, text)


def test_an_error_says_what_can_be_shown():
    assert str(LoomError("bad \ud800")) == "bad \ufffd"


def test_what_is_nested_too_deeply_for_a_message_is_said():
    value: Any = 1
    for _ in range(200):
        value = [value]
    assert "levels" in (unstorable({"a": value}) or "")
    assert unstorable(storable_value({"a": value})) is None


async def test_an_unforeseen_error_is_narrowed_to_its_record():
    async def work(records):
        if 3 in records:
            raise Hostile
        return [record * 10 for record in records]

    told: list[RecordError] = []
    found = await narrowed(range(5), work, lambda record, error: told.append(error) or -record)
    assert found == [0, 10, 20, -3, 40]
    assert [error.code for error in told] == ["internal_error"]
