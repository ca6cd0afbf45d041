"""How an evaluator is put together."""

from __future__ import annotations

from loom_common import flow
from loom_common.bootstrap import Platform, Service, StageService
from loom_common.contracts.v1 import BatchTransformed
from loom_common.flow import Stage
from loom_common.worker import Duty
from loom_evaluator.handler import Evaluator


def build(platform: Platform) -> Service:
    """The evaluator service on `platform`."""
    evaluator = Evaluator(platform.plans, platform.project)
    queue = flow.work_queue(Stage.EVALUATE)
    duty = Duty(queue, (BatchTransformed,), evaluator, platform.settings.worker.prefetch)
    return StageService("evaluator", [duty], platform)
