"""Carries out the job whose time is the model's by DocETL, as its documentation does, and inserts its output into
SQLite. Runs in DocETL's environment."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from bench.peers.in_peer import AT_ONCE, QUESTION, insert, keep_to_itself, tell

keep_to_itself()
os.environ["DOCETL_HOME_DIR"] = str(Path.cwd())

from docetl.api import Dataset, MapOp, Pipeline, PipelineOutput, PipelineStep  # noqa: E402 - after what it reads


def run(source: str, database: str, base_url: str) -> dict[str, float]:
    """Return the seconds and CPU seconds from reading the file to the last row."""
    began, cpu = time.perf_counter(), time.process_time()
    judge = MapOp(
        name="judge",
        type="map",
        prompt=QUESTION + "{{ input.review }}",
        output={"schema": {"sentiment": "enum[good, bad]", "confidence": "float"}, "mode": "structured_output"},
        litellm_completion_kwargs={"api_base": base_url},
    )
    Pipeline(
        name="judged",
        datasets={"reviews": Dataset(type="file", path=source)},
        operations=[judge],
        steps=[PipelineStep(name="judged", input="reviews", operations=["judge"])],
        output=PipelineOutput(type="file", path="judged.json"),
        default_model="openai/gpt-4o-mini",
    ).run(max_threads=AT_ONCE)
    rows = json.loads(Path("judged.json").read_text("utf-8"))
    insert(database, ((each["id"], each["sentiment"], each["confidence"]) for each in rows if each["confidence"] >= 0))
    return {"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu}


if __name__ == "__main__":
    tell(lambda: run(*sys.argv[1:4]))
