"""Measures how long commands take from their start to their end, and `loom serve` from its start to the first page that
shows a run: CPU and wall seconds, beside the goal of each.

Every command is a fresh process with its bytecode compiled. The least of several rounds counts, because what else the
machine does only ever adds to it. `python -m bench.start_up` prints a table."""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bench import figures
from bench.result import BenchError

_SERVED = "loom serve, to the page of runs"
_GOALS = {"loom --help": 0.5, "loom validate": 0.6, "loom status": 0.5, "a run of 5 records": 1.0, _SERVED: 3.0}
"""The wall seconds that each may take on a machine that does nothing else."""
_PIPELINE = (
    "name: small\nextract: {source: records.csv, key: id}\ntransform: {type: passthrough}\n"
    "load: {destination: out.jsonl}\n"
)


class Cost(NamedTuple):
    """Holds the CPU and wall seconds of one process."""

    cpu: float
    wall: float


def measured(folder: Path, arguments: Sequence[str]) -> tuple[Cost, str]:
    """Return what `loom` with these arguments took, and its output. Raises `BenchError` where it fails."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "loom", *arguments],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise BenchError(f"`loom {' '.join(arguments)}` failed: {done.stderr.strip()}")
    return Cost(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall), done.stdout


def served(folder: Path, run_id: str) -> Cost:
    """Return what `loom serve` took until its console showed the run, as somebody sees it who opens the page at once.
    Raises `BenchError` where it does not."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-m", "loom", "serve", "--port", "0"],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    ) as serving:  # fmt: skip
        assert serving.stdout is not None
        url = serving.stdout.readline().strip()
        if not url:
            raise BenchError(f"`loom serve` ended with {serving.wait()}.")
        with urllib.request.urlopen(f"{url}/runs") as answer:
            shown = run_id in answer.read().decode()
        wall = time.perf_counter() - began
        serving.send_signal(signal.SIGINT)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if not shown:
        raise BenchError(f"The page of runs does not show {run_id}.")
    return Cost(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall)


def measure(rounds: int) -> dict[str, Cost]:
    """Return the least cost of each command, in `rounds` turns after one that does not count."""
    costs: dict[str, list[Cost]] = {name: [] for name in _GOALS}
    with tempfile.TemporaryDirectory(prefix="loom-bench-") as temporary:
        folder = Path(temporary)
        (folder / "pipeline.yaml").write_text(_PIPELINE)
        (folder / "records.csv").write_text("id,text\n" + "".join(f"{number},hello\n" for number in range(5)))
        _, report = measured(folder, ["run", "pipeline.yaml", "--format", "json"])
        commands = {
            "loom --help": ["--help"],
            "loom validate": ["validate", "pipeline.yaml"],
            "loom status": ["status", json.loads(report)["run_id"]],
            "a run of 5 records": ["run", "pipeline.yaml"],
        }
        for _ in range(rounds):
            for name, arguments in commands.items():
                costs[name].append(measured(folder, arguments)[0])
            costs[_SERVED].append(served(folder, commands["loom status"][1]))
    return {name: Cost(*map(min, zip(*taken, strict=True))) for name, taken in costs.items()}


def main() -> None:
    """Exit code 1 where a command fails, or takes more CPU than asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench.start_up", description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="turns of each command (default: %(default)s)")
    parser.add_argument("--most", type=float, help="fail where a command takes more CPU than so many times its goal")
    options = parser.parse_args()
    try:
        costs = measure(options.rounds)
    except BenchError as error:
        sys.exit(f"start-up: {error}")
    print("| command | CPU s | wall s | goal, wall s |\n|---|---|---|---|")
    for name, cost in costs.items():
        figures.keep(f"start_up.{name}", cost.wall)
        print(f"| {name} | {cost.cpu:.2f} | {cost.wall:.2f} | {_GOALS[name]:g} |")
    late = [name for name, cost in costs.items() if options.most and cost.cpu > options.most * _GOALS[name]]
    if late:
        sys.exit(f"start-up: {', '.join(late)}: more CPU than {options.most:g} times the goal")


if __name__ == "__main__":
    main()
