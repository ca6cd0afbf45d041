"""Composes the evaluator service."""

from __future__ import annotations

from loom_ai.stage import open_model_stage
from loom_common import flow
from loom_common.contracts.v1 import BatchTransformed
from loom_common.flow import Stage
from loom_common.service.bootstrap import Platform, Service
from loom_common.service.stage_service import StageService
from loom_common.user_code.stage_runner import StageRunner
from loom_common.worker import router
from loom_common.worker.consumer_spec import Accepts, ConsumerSpec
from loom_evaluator.handler import Evaluator
from loom_evaluator.runners import Runners


def build(platform: Platform) -> Service:
    """Build the evaluator service on `platform`. Raises `ConfigurationError` for a journal address it cannot read."""
    stage = open_model_stage(platform, Stage.EVALUATE)
    runners = Runners(platform.project, platform.threads, stage.models)
    evaluator = Evaluator(StageRunner(platform.plans, runners.runner_of, stage.isolation), stage.models)
    accepts = (Accepts(BatchTransformed, platform.sealed.of(evaluator), router.evaluated),)
    consumer = ConsumerSpec(flow.work_queue(Stage.EVALUATE), accepts, platform.settings.worker.prefetch)
    return StageService("evaluator", [consumer], platform, stage.closing, stage.hear)
