"""Chooses which evaluators a plan means."""

from __future__ import annotations

from pathlib import Path

from loom_ai.journal.models import JournalledModels
from loom_common.domain.checks.calibrator import of_evaluators
from loom_common.domain.checks.cascade_file import bands_of_evaluators
from loom_common.domain.run.plan import Plan
from loom_common.domain.values import durations
from loom_common.user_code.threads import Threads
from loom_evaluator.runner import EvaluatorRunner


class Runners:
    """Makes the evaluators of plans. The models that they ask are shared by the whole worker."""

    def __init__(self, project: Path, threads: Threads | None = None, models: JournalledModels | None = None) -> None:
        """Take `models` for evaluators that ask one."""
        self._project = project
        self._threads = threads or Threads()
        self._models = models

    def runner_of(self, plan: Plan) -> EvaluatorRunner | None:
        """Return the plan's evaluators; None where it has none. Blocks while it imports what they are made of. Raises
        `PermanentError`, `UserCodeError`."""
        if (evaluate := plan.pipeline.evaluate) is None:
            return None
        seconds = durations.seconds(plan.pipeline.timeouts.record)
        return EvaluatorRunner(
            evaluate,
            self._project / plan.base,
            self._threads,
            seconds,
            models=self._models,
            reuse=plan.reuse,
            providers=plan.pipeline.providers,
            pipeline=plan.pipeline.name,
            calibrators=of_evaluators(plan),
            bands=bands_of_evaluators(plan),
            sealed=bool(plan.pipeline.sensitive),
        )
