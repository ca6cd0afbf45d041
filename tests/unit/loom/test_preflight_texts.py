"""Tests that what is found before a run can be sent with its request, whatever the source holds."""

from __future__ import annotations

import pytest

from loom.preflight.model_calls import budget_fit
from loom.project import definition_file
from loom.project.config import LoomConfig
from loom.requests.validation import refuse_unready
from loom_common.domain.definition.reader import parse
from loom_common.text import storable_value

PIPELINE = """\
name: p
extract: {source: in.jsonl, key: id}
transform: {type: passthrough}
load: {destination: out.jsonl}
"""


async def test_a_name_of_a_field_that_no_store_holds_does_not_refuse_the_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.jsonl").write_text('{"id": 1, "a\\u0000b": 2}\n{"id": 3}\n')
    (tmp_path / "p.yaml").write_text(PIPELINE)
    loaded = definition_file.load(tmp_path / "p.yaml")
    found, _ = await refuse_unready(loaded, LoomConfig(), {}, sample=False, wait=False, say=print)
    said = found.model_dump(mode="json")
    assert storable_value(said) == said
    assert "a\ufffdb" in [column.column for column in found.columns]


@pytest.mark.parametrize(("tokens", "words"), [(100, "costs $0.000060"), (4000, "costs $0.0024")])
def test_what_the_longest_answer_costs_is_said_as_money(tokens, words):
    transform = {"type": "ai", "model": "gpt-4o-mini", "prompt": "Hm {{ input.text }}", "max_tokens": tokens}
    written = {"name": "p", "extract": {"source": "a.csv"}, "load": {"destination": "b.csv"}}
    told = budget_fit.told(parse({**written, "transform": transform, "monitoring": {"cost_budget": 1.0}}))
    assert told is not None
    assert told.endswith(words)
