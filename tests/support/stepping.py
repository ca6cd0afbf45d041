"""Takes batches through steps of a transform, as the transformer does."""

from __future__ import annotations

from loom_ai.journal.models import JournalledModels
from loom_ai.stores.memory.journal import MemoryJournal
from loom_common.contracts.v1 import BatchFact, BatchTransformed, RecordsQuarantined
from loom_common.flow import Stage
from loom_transformer.handler import Transformer
from loom_transformer.transforms.catalog import Catalog
from support.handling import outgoing_of, runner_of
from support.plans import GivenPlans, batch_of, plan_of
from support.scripted_model import ScriptedModel

CODE = """
tries = {}
def plus(record): return {"n": record["n"] + 1}
def double(record): return {"double": record["n"] * 2}
def odd(record): return {"kind": "odd"}
def even(record): return {"kind": "even"}
def told(record): return {"told": f"{record['kind']} {record['double']}"}
def three(record):
    if record["n"] == 3: raise ValueError("no three")
    return {"fine": True}
def second_time(record):
    tries[record["n"]] = tries.get(record["n"], 0) + 1
    if tries[record["n"]] < 2: raise ValueError("not yet")
    return {"tries": tries[record["n"]]}
def seen(record): return {"seen": sorted(record)}
"""
ROUTE = {"name": "route", "type": "router", "routes": {"even": "n % 2 == 0"}, "otherwise": "odd"}


def step(name, needs=(), **keys):
    return {"name": name, "type": "python", "function": f"stepcode:{name}", "needs": list(needs), **keys}


async def through(tmp_path, steps, inputs, model=None, journal=None, records=None, **transform):
    """Return the messages of a batch of these inputs, or of `records`."""
    (tmp_path / "stepcode.py").write_text(CODE, encoding="utf-8")
    plan = plan_of({"steps": steps, **transform}, every_hop=True)
    catalog = Catalog(JournalledModels(model or ScriptedModel(), journal or MemoryJournal()), tmp_path)
    transformer = Transformer(runner_of(GivenPlans(plan), catalog.transform_of, Stage.TRANSFORM))
    batch = batch_of(plan, inputs)
    batch = batch if records is None else batch.model_copy(update={"records": tuple(records)})
    return [each.message for each in await outgoing_of(transformer, batch)]


def outputs(messages):
    return {
        each.id: each.output
        for message in messages
        if isinstance(message, BatchTransformed)
        for each in message.records
    }


def fact_of(messages):
    return next(each for each in messages if isinstance(each, BatchFact))


def counts(messages, *names):
    return {each.name: tuple(getattr(each, name) for name in names) for each in fact_of(messages).steps}


def kept(messages):
    """Return the records that were kept back, by their ids."""
    return {each.record_id: each for one in messages if isinstance(one, RecordsQuarantined) for each in one.records}
