"""Tests each cell of the table in docs/pipeline.md that says what becomes of records which differ from the stored
version of their schema: where it is decided, and at each stage that holds records to a schema."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from loom_ai.journal.models import JournalledModels
from loom_ai.stores.memory.journal import MemoryJournal
from loom_common.caching.resource_cache import ResourceCache
from loom_common.config.credentials import Credentials
from loom_common.contracts.v1 import (
    BatchEvaluated,
    BatchExtracted,
    BatchTransformed,
    EvaluatedRecord,
    ExtractSlice,
    RecordsQuarantined,
)
from loom_common.domain.schema.contract import SchemaConfig, shaped
from loom_common.domain.schema.drift import drift
from loom_common.errors import PermanentError
from loom_common.flow import Stage
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.destination import Guarantee, LoadResult
from loom_connectors.registry import open_source
from loom_extractor.duplicates import Duplicates
from loom_extractor.handler import Extractor
from loom_loader.handler import Loader
from loom_transformer.handler import Transformer
from loom_transformer.transforms.catalog import Catalog
from support.drift_cases import DRIFTED, FAILS, MODES, STORED, documented, of_record, words
from support.handling import outgoing_of, runner_of
from support.plans import GivenPlans, batch_of, plan_of
from support.scripted_model import ScriptedModel, answer_of

NEXT = {
    ("added",): "the next version has the column",
    ("widened",): "the next version has the wider type",
    ("changed",): "the next version takes any type",
    ("nullable",): "in the next version it may be null",
    (): None,
}


def test_the_table_has_every_kind_of_drift_and_every_mode():
    assert set(documented()) == {(kind, mode) for kind in DRIFTED for mode in MODES}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", DRIFTED)
def test_a_cell(kind, mode):
    contract, record = SchemaConfig.model_validate(mode), DRIFTED[kind]
    assert documented()[kind, mode] == outcome(contract, kind, record)
    (told,) = drift(STORED, shaped([record], SchemaConfig(), STORED, "extract").columns)
    assert told.change == kind


def outcome(contract, kind, record):
    try:
        held = shaped([record], contract, STORED, "extract")
    except PermanentError:
        return FAILS
    if held.errors:
        return words(kind, None)
    after = contract.next_version(STORED, held.columns) or STORED
    changes = tuple(each.change for each in drift(STORED, after))
    version = "the next version has both columns" if kind == "renamed" and after is not STORED else NEXT[changes]
    return "; ".join(each for each in (words(kind, held.values[0]), version) if each)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("stage", [Stage.EXTRACT, Stage.TRANSFORM, Stage.LOAD])
async def test_every_stage_holds_its_records_to_the_table(stage, mode, tmp_path):
    expected = {kind: of_record(kind, mode) for kind in DRIFTED}
    for kind in [kind for kind, what in expected.items() if what == FAILS]:
        with pytest.raises(PermanentError, match=f"`{stage}.schema` freezes it"):
            await STAGES[stage](mode, [DRIFTED[kind]], tmp_path)
    others = [kind for kind, what in expected.items() if what != FAILS]
    loaded, kept = await STAGES[stage](mode, [DRIFTED[kind] for kind in others], tmp_path)
    found = {kind: words(kind, loaded.get(kind)) for kind in others}
    assert found == {kind: expected[kind] for kind in others}
    assert {each.code for each in kept} <= {"schema_contract"}
    assert len(loaded) + len(kept) == len(others)


async def at_extract(mode, records, folder):
    """Return what goes on of records of a source, by their ids, and what is kept back."""
    (folder / "in.jsonl").write_text("".join(json.dumps(each) + "\n" for each in records))
    plan = plan_of({"type": "passthrough"}, schemas={Stage.EXTRACT: STORED})
    plan = _with(plan, "extract", {"source": "in.jsonl", "schema": mode})
    context = ConnectorContext(folder, Credentials({}))
    duplicates = Duplicates()
    extractor = Extractor(
        GivenPlans(plan), ResourceCache(), lambda plan: open_source(plan.pipeline.extract, context), duplicates
    )
    request = ExtractSlice(
        run_id="run_1", pipeline="reviews", plan=plan.hash, epoch=1, partition=0, slice=0, cursor=None, max_batches=9
    )
    async with duplicates.closing():
        out = [each.message for each in await outgoing_of(extractor.read, request)]
    going = [record.input for each in out if isinstance(each, BatchExtracted) for record in each.records]
    going += [record.input for each in out if isinstance(each, BatchEvaluated) for record in each.records]
    return {each["id"]: each for each in going}, _kept(out)


async def at_transform(mode, records, _folder):
    """Return what goes on of the answers of a model."""
    output = {"type": "object", "properties": {"id": {"type": "string"}}}
    ai = {"type": "ai", "prompt": "Judge {{ input.n }}", "model": "gpt-4o-mini", "output": output, "schema": mode}
    plan = plan_of(ai, schemas={Stage.TRANSFORM: STORED})
    model = ScriptedModel(*[answer_of(json.dumps(each)) for each in records])
    catalog = Catalog(JournalledModels(model, MemoryJournal()), Path())
    transformer = Transformer(runner_of(GivenPlans(plan), catalog.transform_of, Stage.TRANSFORM))
    batch = batch_of(plan, [{"n": n} for n in range(len(records))])
    out = [each.message for each in await outgoing_of(transformer, batch)]
    going = [each for each in out if isinstance(each, BatchTransformed | BatchEvaluated)]
    return {record.output["id"]: record.output for each in going for record in each.records}, _kept(out)


async def at_load(mode, records, _folder):
    """Return the rows that a destination is given."""
    plan = plan_of({"type": "passthrough"}, schemas={Stage.LOAD: STORED})
    plan = _with(plan, "load", {"destination": "out.jsonl", "schema": mode})
    place = Given()
    loader = Loader(GivenPlans(plan), ResourceCache(), lambda _: place)
    batch = batch_of(plan, records)
    evaluated = tuple(EvaluatedRecord(id=each.id, input=each.input, output=None) for each in batch.records)
    out = await outgoing_of(loader.load, BatchEvaluated(header=batch.header, records=evaluated))
    return {row["id"]: row for row in place.rows}, _kept([each.message for each in out])


class Given:
    """Represents a destination that keeps the rows that it is given."""

    guarantee = Guarantee.LEDGER
    stages = False
    location = "out.jsonl"

    def __init__(self) -> None:
        self.rows = []

    async def load(self, batch):
        self.rows += [dict(row.values) for row in batch.rows]
        return LoadResult(len(batch.rows), ())

    async def close(self):
        pass


def _with(plan, section, written):
    document = plan.pipeline.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return plan.model_validate({**plan.model_dump(mode="json"), "pipeline": {**document, section: written}})


def _kept(out):
    return [record for each in out if isinstance(each, RecordsQuarantined) for record in each.records]


STAGES = {Stage.EXTRACT: at_extract, Stage.TRANSFORM: at_transform, Stage.LOAD: at_load}
