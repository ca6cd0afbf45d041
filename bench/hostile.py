"""Measures a run against a provider that misbehaves, side by side with the same run against one that does not.

5% 429 with Retry-After, 2% 500, 1% that never answer, 3% broken JSON, 1% cut off: every record has to be accounted for,
and the run to take hardly longer. `python -m bench.hostile`; each simulated provider is another process.

The two runs of a pair go at the same time, so that whatever else the machine does slows both; the ratio is the median
of the pairs. The work is latency: 64 calls of 400 ms at once are 160 a second, a third of a core. A run ends with its
last record, and a hung call takes its timeout and another try: that tail is a few seconds however long the run, so the
ratio is told of the whole run and of its first nine tenths, where as many calls are wanted as may be made. What is to
be expected: 1.12 calls a record (those that failed and those that repair), hence 0.89 where nothing else costs."""

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
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bench import figures

HOSTILE = ("429=0.05", "500=0.02", "hang=0.01", "bad_json=0.03", "truncated=0.01")
ENDS = ("loaded", "rejected", "skipped", "quarantined", "cancelled")
STEADY = 0.9
"""Share of the records after which the run is no longer taken to be in full swing."""
LATE = 0.02
"""Share of the records that may be asked again though they were answered."""
_LOOK_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Passage:
    """Holds a run, by its report and by what the provider counted."""

    whole: float
    """Records a second, of the whole run."""
    steady: float
    """Records a second, until so many records have their last answer as `STEADY` says."""
    report: dict[str, Any]
    counted: dict[str, Any]


def passage(records: int, latency: str, timeout: str | None, faults: tuple[str, ...]) -> Passage:
    """Measure one run, embedded."""
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
            _write(Path(folder), records, base_url, timeout)
            environment = {name: value for name, value in os.environ.items() if not name.startswith("LOOM_")}
            with subprocess.Popen(
                [sys.executable, "-m", "loom", "run", "pipeline.yaml", "--format", "json"],
                cwd=folder,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            ) as run:
                steady = _steady(run, base_url, records)
                report = json.loads(run.communicate()[0])
            return Passage(records / report["duration_seconds"], steady, report, _counted(base_url))
        finally:
            server.terminate()


def _steady(run: subprocess.Popen[bytes], base_url: str, records: int) -> float:
    """Records a second from the first call on, until most have their last answer or the run ends."""
    began = None
    while run.poll() is None:
        counted, now = _counted(base_url), time.perf_counter()
        began = began or (now if counted["calls"] else None)
        answered = counted["answered"] - counted["faults"].get("bad_json", 0)  # those are asked again
        if began is not None and answered >= STEADY * records:
            return float(answered / (now - began))
        time.sleep(_LOOK_SECONDS)
    return 0.0


def _counted(base_url: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{base_url.removesuffix('/v1')}/stats") as response:
        return dict(json.load(response))


def _write(folder: Path, records: int, base_url: str, timeout: str | None) -> None:
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
    }
    if timeout is not None:
        transform["timeout"] = timeout
    definition = {
        "name": "hostile",
        "extract": {"source": "reviews.csv", "key": "id"},
        "transform": transform,
        "load": {"destination": "out.jsonl"},
    }
    (folder / "pipeline.yaml").write_text(json.dumps(definition))


def late(passage: Passage) -> int:
    """Answers that the provider gave to calls that were given up by then: every question is asked for one answer."""
    return int(passage.counted["answered"] - passage.counted["distinct"])


def balanced(passage: Passage, records: int) -> bool:
    """Whether every record ended once, every question's answer is on the run's bill, and hardly one was asked twice:
    only where this machine stood still for longer than a call may take."""
    report = passage.report
    return (
        sum(report["records"][end] for end in ENDS) == records
        and report["calls"]["made"] == passage.counted["distinct"]
        and late(passage) <= LATE * records
    )


def main() -> None:
    """Exit code 1 where a record or a call is not accounted for, or the ratio is less than asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.hostile",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--records", type=int, default=10_000, help="of each run (default: %(default)s)")
    parser.add_argument("--latency", default="400ms", help="of an answer (default: %(default)s)")
    parser.add_argument("--timeout", default="2s", help="of a call; 'none' for Loom's own, 35 s (default: %(default)s)")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--least", type=float, default=0.0, help="fail where less of the first nine tenths is left")
    options = parser.parse_args()
    timeout = None if options.timeout == "none" else options.timeout
    pairs = []
    for number in range(1, options.pairs + 1):
        began, cpu = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        with ThreadPoolExecutor(2) as both:
            sides = [both.submit(passage, options.records, options.latency, timeout, each) for each in ((), HOSTILE)]
            clean, hostile = (side.result() for side in sides)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        busy = (used.ru_utime + used.ru_stime - cpu.ru_utime - cpu.ru_stime) / (time.perf_counter() - began)
        pairs.append((hostile.whole / clean.whole, hostile.steady / clean.steady))
        print(
            f"pair {number}: clean {clean.whole:.0f} records/s, hostile {hostile.whole:.0f}: ratio {pairs[-1][0]:.2f}; "
            f"first nine tenths {clean.steady:.0f} and {hostile.steady:.0f}: {pairs[-1][1]:.2f}; "
            f"{busy:.1f} cores; load {os.getloadavg()[0]:.1f}; answered too late {late(clean)} and {late(hostile)}"
        )
        print(f"  records {hostile.report['records']}; calls {hostile.report['calls']}; counted {hostile.counted}")
        if not (balanced(clean, options.records) and balanced(hostile, options.records)):
            sys.exit("hostile: the books do not balance")
    whole, steady = (median(ratios) for ratios in zip(*pairs, strict=True))
    print(f"median of {options.pairs} pairs: {whole:.2f} of the clean run, {steady:.2f} of its first nine tenths")
    figures.keep("hostile", steady, f"{options.records:,} records")
    if steady < options.least:
        sys.exit(f"hostile: at least {options.least:g} was asked for")


if __name__ == "__main__":
    main()
