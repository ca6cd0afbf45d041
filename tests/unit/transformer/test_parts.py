"""Tests steps that make several records of one, and those that gather them again."""

from __future__ import annotations

import dataclasses
import json

import pytest

from loom_common.contracts.v1 import BatchTransformed, ExtractedRecord
from loom_common.domain.run.tally import Tally
from loom_common.domain.steps.functions.splitting import by_characters, by_words
from loom_common.errors import PermanentError
from support.scripted_model import ScriptedModel, answer_of
from support.stepping import counts, fact_of, kept, outputs, step, through

LINES = {"name": "lines", "type": "unnest", "field": "ns", "into": "n"}
DOUBLE = step("double", ["lines"])
TEXT = "One two. Three four five. Six seven."


def books(messages):
    tally: Tally = fact_of(messages).header.tally
    return tally.entered, tally.derived, tally.unnested, tally.filtered, tally.transformed, tally.quarantined


async def test_each_item_of_a_list_becomes_a_record_and_the_books_balance(tmp_path):
    messages = await through(tmp_path, [LINES, DOUBLE], [{"ns": [1, 2]}, {"ns": []}, {"ns": [5]}])
    assert outputs(messages) == {
        "r0#lines.1": {"n": 1, "ns_number": 1, "double": 2},
        "r0#lines.2": {"n": 2, "ns_number": 2, "double": 4},
        "r2#lines.1": {"n": 5, "ns_number": 1, "double": 10},
    }
    assert books(messages) == (6, 3, 2, 1, 3, 0)
    assert fact_of(messages).header.tally.underway == 3
    assert counts(messages, "seen", "filtered", "derived") == {"lines": (3, 1, 3), "double": (3, 0, 0)}
    (batch,) = [each for each in messages if isinstance(each, BatchTransformed)]
    first = batch.records[0]
    assert (first.input, first.derived.parent, first.derived.step) == ({"n": 1, "ns_number": 1}, "r0", "lines")


async def test_a_part_that_fails_is_kept_alone_and_replayed_from_where_it_was_made(tmp_path):
    """The steps before it are not taken again, and what they made is in its output as before."""
    code = [step("plus"), {**LINES, "needs": ["plus"]}, step("three", ["lines"]), step("seen", ["three"])]
    messages = await through(tmp_path, code, [{"n": 0, "ns": [3, 4]}])
    assert list(outputs(messages)) == ["r0#lines.2"]
    assert outputs(messages)["r0#lines.2"]["seen"] == ["fine", "n", "ns_number"]
    assert books(messages) == (3, 2, 1, 0, 1, 1)
    (back,) = kept(messages).values()
    assert (back.record_id, back.input, back.derived.parent) == ("r0#lines.1", {"n": 3, "ns_number": 1}, "r0")
    again = ExtractedRecord(back.record_id, {**back.input, "n": 8}, back.derived)
    replayed = await through(tmp_path, code, [{}], records=[again])
    assert outputs(replayed) == {
        "r0#lines.1": {"n": 8, "ns_number": 1, "fine": True, "seen": ["fine", "n", "ns_number"]}
    }
    assert counts(replayed, "seen") == {"three": (1,), "seen": (1,)}
    assert books(replayed)[:3] == (1, 0, 0)


async def test_parts_know_the_branches_that_led_to_them(tmp_path):
    route = {"name": "route", "type": "router", "routes": {"many": "size(ns) > 1"}, "otherwise": "one"}
    code = [route, {**LINES, "needs": "route.many"}, step("odd", ["lines"]), step("even", ["route.one"]),
            step("seen", ["odd", "even"])]  # fmt: skip
    messages = await through(tmp_path, code, [{"ns": [1, 2]}, {"ns": [7]}])
    assert {name: each.get("kind") for name, each in outputs(messages).items()} == {
        "r0#lines.1": "odd", "r0#lines.2": "odd", "r1": "even",
    }  # fmt: skip
    assert outputs(messages)["r1"]["ns_number"] == 0
    (batch,) = [each for each in messages if isinstance(each, BatchTransformed)]
    part = batch.records[0]
    assert part.derived.branches == {"route": "many"}
    again = ExtractedRecord(part.id, part.input, part.derived)
    assert outputs(await through(tmp_path, code, [{}], records=[again])) == {part.id: part.output}


async def test_parts_of_parts_have_ids_of_their_own_and_are_counted(tmp_path):
    words = {"name": "words", "type": "unnest", "field": "n", "needs": "lines"}
    messages = await through(tmp_path, [LINES, words], [{"ns": [["a", "b"], ["c"]]}])
    assert {name: each["n"] for name, each in outputs(messages).items()} == {
        "r0#lines.1#words.1": "a", "r0#lines.1#words.2": "b", "r0#lines.2#words.1": "c",
    }  # fmt: skip
    assert books(messages) == (6, 5, 3, 0, 3, 0)


@pytest.mark.parametrize(
    ("given", "code"), [({}, "missing_field"), ({"ns": 3}, "no_list"), ({"ns": [1, 2, 3]}, "too_many_parts")]
)
async def test_what_cannot_be_unnested_fails_in_the_step_as_a_whole(tmp_path, given, code):
    messages = await through(tmp_path, [{**LINES, "max_parts": 2}, DOUBLE], [given, {"ns": [1]}])
    assert {name: each.code for name, each in kept(messages).items()} == {"r0": code}
    assert kept(messages)["r0"].reason.startswith("Step lines: ")
    assert list(outputs(messages)) == ["r1#lines.1"]


async def test_a_part_of_a_step_that_is_there_no_more_is_kept_back_with_the_reason(tmp_path):
    messages = await through(tmp_path, [LINES], [{"ns": [1]}])
    (batch,) = [each for each in messages if isinstance(each, BatchTransformed)]
    part = batch.records[0]
    again = ExtractedRecord(part.id, part.input, dataclasses.replace(part.derived, step="gone"))
    assert kept(await through(tmp_path, [LINES], [{}], records=[again]))[part.id].code == "unknown_step"


async def test_a_critical_part_fails_the_run(tmp_path):
    with pytest.raises(PermanentError, match=r"r0#lines\.2"):
        await through(tmp_path, [LINES, step("three", ["lines"], criticality="critical")], [{"ns": [1, 3]}])


SPLIT = {"name": "parts", "type": "split", "field": "text", "by": "words", "size": 3}
ASK = {"name": "sum", "type": "ai", "model": "gpt-4o", "prompt": "{{ input.text }}", "needs": "parts",
       "output": {"short": "string"}}  # fmt: skip
GATHER = {"name": "whole", "type": "gather", "needs": "sum", "fields": {"shorts": "short"}}


async def test_a_long_text_is_asked_about_in_parts_and_gathered_in_their_order(tmp_path):
    model = ScriptedModel(lambda call: answer_of(json.dumps({"short": call.messages[0].content.split()[0]})))
    messages = await through(
        tmp_path, [SPLIT, ASK, GATHER, step("seen", ["whole"])], [{"text": TEXT}, {"text": ""}], model
    )
    assert outputs(messages) == {
        "r0": {"shorts": ["One", "four", "seven."], "seen": ["shorts", "text"]},
        "r1": {"shorts": [], "seen": ["shorts", "text"]},
    }
    assert books(messages) == (2, 0, 0, 0, 2, 0)
    assert counts(messages, "seen", "derived") == {"parts": (2, 3), "sum": (3, 0), "whole": (2, 0), "seen": (2, 0)}
    assert len(model.calls) == 3


async def test_a_part_that_fails_fails_the_whole_text_and_one_that_is_filtered_is_left_out(tmp_path):
    some = {"name": "some", "type": "filter", "where": "n != 2", "needs": "lines"}
    gather = {"name": "whole", "type": "gather", "needs": "three", "fields": {"fine": "fine", "ns": "n"}}
    messages = await through(
        tmp_path, [LINES, some, step("three", ["some"]), gather], [{"ns": [1, 2, 4]}, {"ns": [1, 3]}]
    )
    assert outputs(messages) == {"r0": {"fine": [True, True], "ns": [1, 4]}}
    assert kept(messages)["r1"].reason.startswith("Step three: ")
    assert books(messages) == (2, 0, 0, 0, 1, 1)


async def test_a_step_beside_a_split_sees_the_whole_and_runs_once(tmp_path):
    gather = {**GATHER, "needs": "double", "fields": {"doubles": "double"}}
    messages = await through(tmp_path, [LINES, DOUBLE, gather, step("seen")], [{"ns": [1, 2]}])
    assert outputs(messages) == {"r0": {"doubles": [2, 4], "seen": ["ns"]}}
    assert counts(messages, "seen")["seen"] == (1,)


@pytest.mark.parametrize(("size", "overlap"), [(10, 0), (10, 4), (7, 6), (1, 0), (500, 20)])
def test_parts_of_a_text_go_on_where_the_last_ended_and_lose_nothing(size, overlap):
    text = "Ein Satz. Noch einer!\n\nEin Absatz mit einemsehrlangenWort und mehr. " * 3
    parts = list(by_characters(text, size, overlap))
    assert all(0 < len(part) <= size for part in parts)
    whole, end = "", 0
    for part in parts:
        begin = text.index(part, max(0, end - overlap))
        assert not text[end:begin].strip()
        whole, end = whole + text[end : begin + len(part)], begin + len(part)
    assert "".join(whole.split()) == "".join(text.split())


def test_parts_end_with_a_sentence_and_words_are_counted():
    assert list(by_characters(TEXT, 26, 0)) == ["One two. Three four five. ", "Six seven."]
    assert list(by_words(TEXT, 3, 1)) == ["One two. Three", "Three four five.", "five. Six seven."]
