"""Composes what handles the batches of the evaluator service."""

from __future__ import annotations

from loom_ai.stage import open_model_stage
from loom_common.contracts.v1 import BatchTransformed
from loom_common.flow import Stage
from loom_common.service.bootstrap import Platform
from loom_common.service.stage_service import Handling
from loom_common.user_code.stage_runner import StageRunner
from loom_common.worker.stage_result import Evaluated
from loom_evaluator.handler import Evaluator
from loom_evaluator.runners import Runners


def open_handling(platform: Platform) -> Handling[BatchTransformed, Evaluated]:
    """Open what scores batches. Raises `ConfigurationError` for a journal address it cannot read."""
    stage = open_model_stage(platform, Stage.EVALUATE)
    runners = Runners(platform.project, platform.threads, stage.models)
    evaluator = Evaluator(StageRunner(platform.plans, runners.runner_of, stage.isolation), stage.models)
    return Handling(evaluator, stage.closing, stage.hear)
