from __future__ import annotations

import asyncio

from loom_common import flow
from loom_common.config.settings import JournalSettings, Settings
from loom_common.contracts.encoding.codec import decode, encode
from loom_common.contracts.envelope import Outgoing
from loom_common.contracts.v1 import BatchTransformed
from loom_common.flow import Stage
from loom_common.service.bootstrap import open_platform
from loom_dev.waiting import within
from loom_transformer.service import build
from support.plans import batch_of, plan_of


async def test_a_batch_on_the_bus_comes_out_transformed(tmp_path):
    settings = Settings(project_dir=tmp_path, journal=JournalSettings(url="memory://"))
    plan = plan_of({"type": "scorer", "scorer": "vader", "field": "review"}, every_hop=True)
    async with open_platform(settings, "transformer") as platform, within(20):
        await platform.payloads.put(plan.encoded())
        stop = asyncio.Event()
        running = asyncio.create_task(build(platform).run(stop))
        batch = Outgoing(flow.work(Stage.TRANSFORM, "reviews"), batch_of(plan, [{"review": "Lovely."}]))
        await platform.bus.publish([encode(batch, "test")])
        subscription = await platform.bus.subscribe(flow.work_queue(Stage.EVALUATE), 1)
        delivery = await anext(aiter(subscription))
        await delivery.ack()
        stop.set()
        await running
        await subscription.close()
    message = decode(delivery, BatchTransformed)
    assert message.records[0].output["sentiment"] == "positive"
