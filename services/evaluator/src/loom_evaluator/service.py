"""Composes the evaluator service. What scores batches is opened with the first one in an embedded run, because the
batches of many runs go past this stage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loom_common import flow
from loom_common.contracts.v1 import BatchTransformed
from loom_common.flow import Stage
from loom_common.service.bootstrap import Platform, Service
from loom_common.service.stage_service import Handling, LateHandling, StageService
from loom_common.worker import router
from loom_common.worker.consumer_spec import Accepts, ConsumerSpec

if TYPE_CHECKING:
    from loom_common.worker.stage_result import Evaluated


def build(platform: Platform) -> Service:
    """Build the evaluator service on `platform`. Raises `ConfigurationError` for a journal address that a process of a
    cluster cannot read."""

    def opened() -> Handling[BatchTransformed, Evaluated]:
        from loom_evaluator.handling import open_handling

        return open_handling(platform)

    late = LateHandling(opened, at_once=not platform.settings.embedded)
    accepts = (Accepts(BatchTransformed, platform.sealed.of(late.handle), router.evaluated),)
    consumer = ConsumerSpec(flow.work_queue(Stage.EVALUATE), accepts, platform.settings.worker.prefetch)
    return StageService("evaluator", [consumer], platform, late.closing, late.hear)
