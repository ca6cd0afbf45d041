"""Measures a run whose questions are answered by the batches of a provider, as users run it: `loom run`, embedded.

`python -m bench.provider_batches`; the simulated provider is another process. Most of the time of such a run is
waiting, so the measure is what a process holds while so many records wait, the CPU that a record takes in all, and
that every request is in one batch and paid for once."""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from bench import figures
from loom_dev.process_memory import peak_memory

TIMES = {"LOOM_BATCHES_POLL_SECONDS": "5", "LOOM_BATCHES_GATHER_SECONDS": "10"}
_MODELS = {"openai": "gpt-4o-mini", "anthropic": "anthropic:claude-haiku-4-5", "google": "google:gemini-2.0-flash"}
_PATHS = {"openai": "/v1", "anthropic": "", "google": "/v1beta"}
_LOOK_SECONDS = 0.2


def measured(records: int, window: int, provider: str, words: int) -> dict[str, Any]:
    """Run the records once, and return what it took."""
    command = [sys.executable, "-m", "loom", "simulate-model", "--port", "0"]
    with (
        tempfile.TemporaryDirectory(prefix="loom-bench-") as folder,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server,
    ):
        assert server.stdout is not None
        root = server.stdout.readline().strip().removesuffix("/v1")
        try:
            _write(Path(folder), records, window, provider, root, words)
            environment = {name: value for name, value in os.environ.items() if not name.startswith("LOOM_")}
            began, before = time.perf_counter(), _children()
            with subprocess.Popen(
                [sys.executable, "-m", "loom", "run", "pipeline.yaml", "--format", "json"],
                cwd=folder,
                env=environment | TIMES | {"OPENAI_API_KEY": "k", "ANTHROPIC_API_KEY": "k", "GEMINI_API_KEY": "k"},
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            ) as run:
                peak = _peak_of(run)
                assert run.stdout is not None
                report = json.loads(run.stdout.read())
            counted = _counted(root)
            return {
                "records": report["records"]["loaded"],
                "status": report["status"],
                "seconds": round(time.perf_counter() - began, 1),
                "peak_mb": round(peak),
                "cpu_ms_per_record": round(1000 * (_children() - before) / records, 2),
                "calls": counted["calls"],
                **counted["batches"],
            }
        finally:
            server.terminate()


def _peak_of(run: subprocess.Popen[bytes]) -> float:
    """Return the most memory that the process holds until it ends, in MB."""
    peak = 0.0
    while run.poll() is None:
        try:
            peak = max(peak, peak_memory(run.pid))
        except (OSError, StopIteration):  # it has ended
            break
        time.sleep(_LOOK_SECONDS)
    return peak


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _counted(root: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{root}/stats") as response:
        return dict(json.load(response))


def _write(folder: Path, records: int, window: int, provider: str, root: str, words: int) -> None:
    with (folder / "reviews.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("id", "review"))
        writer.writerows((number, f"Review number {number}" + " word" * words) for number in range(records))
    definition = {
        "name": "in_batches",
        "extract": {"source": "reviews.csv", "key": "id", "batch_size": 100},
        "transform": {
            "type": "ai",
            "model": _MODELS[provider],
            "base_url": root + _PATHS[provider],
            "prompt": "What is the mood of {{ input.review }}?",
            "output": {"mood": {"enum": ["good", "bad"]}},
            "execution": {"type": "batch", "window": window},
        },
        "load": {"destination": "out.jsonl"},
    }
    (folder / "pipeline.yaml").write_text(json.dumps(definition))


def main() -> None:
    """Measure once, and fail where a record is missing, a request was paid for twice, or memory passes `--most`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--window", type=int, default=20_000, help="records that wait at the same time")
    parser.add_argument("--words", type=int, default=0, help="words that are added to each record")
    parser.add_argument("--provider", choices=_MODELS, default="openai")
    parser.add_argument("--most", type=float, help="fail where the process held more MB")
    given = parser.parse_args()
    found = measured(given.records, given.window, given.provider, given.words)
    print(json.dumps({"provider": given.provider, "window": given.window, **found}))
    figures.keep("batches.peak", found["peak_mb"], f"{given.records:,} records")
    if found["records"] != given.records or found["paid_twice"] or found["answered"] != given.records:
        sys.exit("records are missing, or were paid for twice")
    if given.most is not None and found["peak_mb"] > given.most:
        sys.exit(f"the process held {found['peak_mb']} MB; the most is {given.most:g} MB")


if __name__ == "__main__":
    main()
