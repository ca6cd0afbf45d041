"""Times one embedded run in this process, CSV -> passthrough -> a table, from the request to the run's end."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import uvloop

from bench.pipeline import DATABASE, definition
from loom.project.config import LoomConfig
from loom.session import open_session
from loom_common.config.settings import LogSettings
from loom_common.contracts.v1 import RunFinished, RunRequest
from loom_common.interpreter.garbage import collect_less
from loom_common.service.logging import configure_logging


async def timed(definition: dict[str, Any]) -> dict[str, float]:
    """Return the seconds and CPU seconds of a run. State lies below the working directory."""
    request = RunRequest(definition=definition)
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


def report(definition: dict[str, Any]) -> None:
    """Run the definition as `loom run` does, and print what `timed` returns, as JSON."""
    configure_logging(LogSettings(level="warning"), service="bench")
    print(json.dumps(uvloop.run(timed(definition))))


if __name__ == "__main__":
    source, *place, batch_size = sys.argv[1:]
    table = f"sqlite:///{place[0]}?table=reviews" if place else f"{DATABASE}?table=reviews"
    report(definition(source, table, int(batch_size)))
