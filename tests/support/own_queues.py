"""Takes batches through the processes of steps that have queues of their own, as messages of JSON."""

from __future__ import annotations

from loom_ai.journal.models import JournalledModels
from loom_ai.stores.memory.journal import MemoryJournal
from loom_common.contracts.v1 import BatchInSteps
from loom_common.flow import Stage
from loom_common.worker.context import Context
from loom_common.worker.delivered import usage_of
from loom_transformer.handler import Transformer
from loom_transformer.steps.served import Served
from loom_transformer.transforms.catalog import Catalog
from support.handling import outgoing_of, runner_of
from support.plans import GivenPlans, batch_of, plan_of
from support.scripted_model import ScriptedModel
from support.stepping import CODE


class Processes:
    """Represents the transformers of a plan: those of the transformers' queue, and those of each step with its own."""

    def __init__(self, plan, tmp_path, groups=None):
        self._plan, self._folder, self._groups = plan, tmp_path, groups
        self._models = JournalledModels(ScriptedModel(), MemoryJournal())
        self._made = {}
        self.declared = []

    def _of(self, queue):
        if queue not in self._made:
            served = Served(frozenset() if queue is None else frozenset([queue]))
            catalog = Catalog(self._models, self._folder, served=served)
            runner = runner_of(GivenPlans(self._plan), catalog.transform_of, Stage.TRANSFORM)
            self._made[queue] = Transformer(runner, self._groups, served, self._declare).as_served
        return self._made[queue]

    async def _declare(self, step):
        self.declared.append(step)

    async def through(self, batch):
        """Return the messages of a batch, and the queues that it came over: the name of a step, or None for the
        transformers'."""
        queue, hops, told = None, [], []
        while True:
            hops.append(queue)
            context = Context(usage=usage_of(batch))
            messages = [each.message for each in await outgoing_of(self._of(queue), batch, context)]
            sent = next((each for each in messages if isinstance(each, BatchInSteps)), None)
            told += [each for each in messages if each is not sent]
            if sent is None:
                return told, hops
            batch = BatchInSteps.model_validate_json(sent.model_dump_json())
            queue = batch.step


async def through_queues(tmp_path, steps, inputs):
    """Return the messages of a batch of these inputs, and the queues that it came over."""
    (tmp_path / "stepcode.py").write_text(CODE, encoding="utf-8")
    plan = plan_of({"steps": steps}, every_hop=True)
    return await Processes(plan, tmp_path).through(batch_of(plan, inputs))
