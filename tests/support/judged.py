"""Runs a small pipeline, judges its records and scores it again, so that every page about judging has something to
show."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx

from loom.project.config import LoomConfig
from loom_api import service
from loom_api.settings import ApiSettings
from support.api import client_of
from support.served_api import ended, started

PIPELINE = {
    "name": "numbers",
    "extract": {"source": "in.csv", "key": "id"},
    "transform": {"type": "python", "function": "judging:made"},
    "evaluate": {"evaluators": [{"type": "python", "name": "sure", "function": "judging:sure", "threshold": 0.5}]},
    "load": {"destination": "sqlite:///out.db?table=made", "mode": "upsert", "key": ["id"]},
}
CODE = """
def made(record):
    return {"sure": int(record["n"]) / 10, "note": "<script>alert(1)</script>" + "long " * 100}

def sure(output, record):
    return output["sure"]
"""


async def judged_run(folder: Path) -> tuple[str, ...]:
    """Run the pipeline in a project folder, the working directory, judge most of its records, and return the paths of
    the pages about it."""
    lines = (f"{name}: {json.dumps(said)}\n" for name, said in PIPELINE.items())
    (folder / "numbers.yaml").write_text("".join(lines))
    (folder / "judging.py").write_text(CODE)
    (folder / "in.csv").write_text("id,n\n" + "".join(f"r{number},{number}\n" for number in range(10)))
    async with (
        service.opened(LoomConfig(), ApiSettings(), lambda _: None) as application,
        client_of(application) as client,
    ):
        run_id, other = await started(client), await started(client)
        for each in (run_id, other):
            await ended(client, each)
        await posted(client, f"/runs/{run_id}/labels/sample", {"count": 10})
        for number in range(8):
            said = {"record_id": f"r{number}", "verdict": "pass" if number >= 3 else "fail"}
            await posted(client, f"/runs/{run_id}/labels", said)
        scored = await posted(client, f"/runs/{run_id}/evaluate", {"thresholds": {"sure": 0.7}})
    at = f"/runs/{run_id}"
    return (
        f"{at}/label",
        f"/runs/{other}/label",
        f"{at}/labels?goal=recall&target=0.95",
        f"{at}/evaluate?threshold:sure=0.3",
        f"{at}/rescored/{scored['rescoring_id']}",
    )


async def posted(client: httpx.AsyncClient, path: str, said: dict[str, Any]) -> Any:
    """Send a command, and return what it came to."""
    answer = await client.post(path, json=said)
    assert answer.status_code == 200, answer.text
    return answer.json()
