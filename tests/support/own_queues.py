"""Takes batches through the processes of steps that have queues of their own, as messages of JSON."""

from __future__ import annotations

from loom_ai.journal.models import JournalledModels
from loom_ai.stores.memory.journal import MemoryJournal
from loom_common.contracts.v1 import BatchInSteps
from loom_common.flow import Stage
from loom_common.worker.context import Context
from loom_common.worker.delivered import usage_of
from loom_transformer.handler import Transformer
from loom_transformer.steps.building import Served
from loom_transformer.transforms.catalog import Catalog
from support.handling import outgoing_of, runner_of
from support.plans import GivenPlans, batch_of, plan_of
from support.scripted_model import ScriptedModel
from support.stepping import CODE


async def through_queues(tmp_path, steps, inputs, model=None, journal=None, records=None, groups=None, **transform):
    """Return the messages of a batch of these inputs, or of `records`, and the queues that it came over: the name of a
    step, or None for the transformers'."""
    (tmp_path / "stepcode.py").write_text(CODE, encoding="utf-8")
    plan = plan_of({"steps": steps, **transform}, every_hop=True)
    models = JournalledModels(model or ScriptedModel(), journal or MemoryJournal())
    processes = {}

    async def declare(step):
        """The queues are there."""

    def of(queue):
        if queue not in processes:
            served = Served(frozenset() if queue is None else frozenset([queue]))
            catalog = Catalog(models, tmp_path, served=served)
            runner = runner_of(GivenPlans(plan), catalog.transform_of, Stage.TRANSFORM)
            processes[queue] = Transformer(runner, groups, served, declare).as_served
        return processes[queue]

    batch = batch_of(plan, inputs)
    batch = batch if records is None else batch.model_copy(update={"records": tuple(records)})
    queue, hops, told = None, [], []
    while True:
        hops.append(queue)
        messages = [each.message for each in await outgoing_of(of(queue), batch, Context(usage=usage_of(batch)))]
        sent = next((each for each in messages if isinstance(each, BatchInSteps)), None)
        told += [each for each in messages if each is not sent]
        if sent is None:
            return told, hops
        batch = BatchInSteps.model_validate_json(sent.model_dump_json())
        queue = batch.step
