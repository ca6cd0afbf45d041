"""Composes the transformer service. What transforms batches is opened with the first one in an embedded run, because
the batches of many runs go past this stage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loom_common import flow
from loom_common.contracts.v1 import BatchExtracted, BatchInSteps
from loom_common.flow import Stage
from loom_common.service.bootstrap import Platform, Service
from loom_common.service.stage_service import Handling, LateHandling, StageService
from loom_common.worker import router
from loom_common.worker.consumer_spec import Accepts, ConsumerSpec, Handler

if TYPE_CHECKING:
    from loom_common.worker.stage_result import HandedOn, Transformed


def build(platform: Platform) -> Service:
    """Build the transformer service on `platform`. Raises `ConfigurationError` for a journal address that a process of
    a cluster cannot read."""

    def opened() -> Handling[BatchExtracted | BatchInSteps, Transformed | HandedOn]:
        from loom_transformer.handling import open_handling

        return open_handling(platform)

    settings = platform.settings
    late = LateHandling(opened, at_once=not settings.embedded)
    transformer: Handler[BatchExtracted | BatchInSteps, Transformed | HandedOn] = platform.sealed.of(late.handle)
    amid = Accepts(BatchInSteps, transformer, router.transformed)
    accepts = (Accepts(BatchExtracted, transformer, router.transformed), amid)
    prefetch = settings.worker.prefetch
    served = () if settings.embedded else settings.transform.steps  # an embedded run has one process for all
    consumers = [ConsumerSpec(flow.step_queue(step), (amid,), prefetch) for step in served]
    consumers = consumers or [ConsumerSpec(flow.work_queue(Stage.TRANSFORM), accepts, prefetch)]
    return StageService("transformer", consumers, platform, late.closing, late.hear)
