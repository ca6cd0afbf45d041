"""A run against a provider that misbehaves, beside the same run against one that does not.

5% 429 with Retry-After, 2% 500, 1% that never answer, 3% broken JSON, 1% cut off: every record has to be accounted for,
and the run to take hardly longer. `python -m bench.hostile`; the simulated provider is another process."""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path
from typing import Any

HOSTILE = ("429=0.05", "500=0.02", "hang=0.01", "bad_json=0.03", "truncated=0.01")
ENDS = ("loaded", "rejected", "skipped", "quarantined", "cancelled")


def passage(records: int, latency: str, faults: tuple[str, ...]) -> tuple[float, dict[str, Any], dict[str, Any]]:
    """Records a second, the run's report, and what the provider counted."""
    options = [word for fault in faults for word in ("--fault", fault)]
    command = [sys.executable, "-m", "loom", "simulate-model", "--port", "0", "--latency", latency]
    with (
        tempfile.TemporaryDirectory(prefix="loom-bench-") as folder,
        subprocess.Popen(
            [*command, "--retry-after", "1s", *options], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as server,
    ):
        assert server.stdout is not None
        base_url = server.stdout.readline().strip()
        try:
            _write(Path(folder), records, base_url)
            environment = {name: value for name, value in os.environ.items() if not name.startswith("LOOM_")}
            done = subprocess.run(
                [sys.executable, "-m", "loom", "run", "pipeline.yaml", "--format", "json"],
                cwd=folder,
                env=environment,
                stdout=subprocess.PIPE,
                check=False,
            )
            report = json.loads(done.stdout)
            with urllib.request.urlopen(f"{base_url.removesuffix('/v1')}/stats") as response:
                return records / report["duration_seconds"], report, json.load(response)
        finally:
            server.terminate()


def _write(folder: Path, records: int, base_url: str) -> None:
    with (folder / "reviews.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("id", "review"))
        writer.writerows((number, f"Review number {number}") for number in range(records))
    transform = {
        "type": "ai",
        "model": "gpt-4o-mini",
        "base_url": base_url,
        "prompt": "What is the mood of {{ input.review }}?",
        "output": {"mood": {"enum": ["good", "bad"]}},
        "timeout": "2s",
    }
    definition = {
        "name": "hostile",
        "extract": {"source": "reviews.csv", "key": "id"},
        "transform": transform,
        "load": {"destination": "out.jsonl"},
    }
    (folder / "pipeline.yaml").write_text(json.dumps(definition))


def main() -> None:
    """Exit code 1 where a record or a call is not accounted for."""
    parser = argparse.ArgumentParser(prog="python -m bench.hostile", description=__doc__.partition("\n")[0])
    parser.add_argument("--records", type=int, default=5000)
    parser.add_argument("--latency", default="400ms", help="of an answer (default: %(default)s)")
    options = parser.parse_args()
    clean, _, _ = passage(options.records, options.latency, ())
    hostile, report, counted = passage(options.records, options.latency, HOSTILE)
    print(f"clean {clean:.0f} records/s, hostile {hostile:.0f}: ratio {hostile / clean:.2f}")
    print(f"records {report['records']}; calls {report['calls']}; the provider counted {counted}")
    if sum(report["records"][end] for end in ENDS) != options.records or report["calls"]["made"] != counted["answered"]:
        sys.exit("hostile: the books do not balance")


if __name__ == "__main__":
    main()
