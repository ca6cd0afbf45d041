"""Times one embedded run in this process, CSV -> model -> gate -> SQLite, from the request to the run's end."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import uvloop

from bench.model_bound_pipeline import definition
from loom.project.config import LoomConfig
from loom.session import open_session
from loom_common.config.settings import LogSettings
from loom_common.contracts.v1 import RunFinished, RunRequest
from loom_common.service.garbage import collect_less
from loom_common.service.logging import configure_logging


async def run(source: str, database: str, base_url: str) -> dict[str, float]:
    """Return seconds and CPU seconds. State lies below the working directory."""
    request = RunRequest(definition=definition(source, f"sqlite:///{database}?table=reviews", base_url))
    async with open_session(LoomConfig(), cluster=False) as session:
        collect_less()
        began, cpu = time.perf_counter(), time.process_time()
        accepted = await session.start(request)
        async for event in session.follow(accepted.run_id):
            if isinstance(event, RunFinished):
                measured = {"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu}
                if event.report.status != "succeeded":
                    sys.exit(f"the run ended {event.report.status}: {event.report.error}")
                return measured
    sys.exit(f"the run was paused below {Path.cwd()}")


if __name__ == "__main__":
    configure_logging(LogSettings(level="warning"), service="bench")
    print(json.dumps(uvloop.run(run(*sys.argv[1:4]))))
