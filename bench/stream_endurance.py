"""Keeps an embedded stream going through many windows while its process is killed with SIGKILL again and again.

`python -m bench.stream_endurance --windows 10000 --seconds 900` counts at the end what is at the destination and what
the books say, and prints how memory and the time of a look at the stream have grown. Exit code 1 where a record is
missing or double, or the books do not say the same."""

from __future__ import annotations

import argparse
import json
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

_LOOK_SECONDS = 0.05
_FILE_WINDOWS = 5
"""Says how many windows the records of one file make."""
_AHEAD = 4
"""Says how many files may wait to be read."""


def written(folder: Path, records: int) -> None:
    """Write a project with the pipeline of the stream, whose windows close after `records` records."""
    (folder / "inbox").mkdir(parents=True)
    (folder / "loom.yaml").write_text("{}\n")
    definition = {
        "name": "endurance",
        "mode": "streaming",
        "window": {"every": "1h", "records": records},
        "batch": {"size": records, "wait": "5ms"},
        "extract": {"source": "inbox/*.jsonl", "key": "id", "poll": "10ms", "settle": "0s"},
        "transform": {"type": "passthrough"},
        "load": {"destination": "sqlite:///out.db?table=t", "mode": "append"},
    }
    (folder / "pipeline.yaml").write_text(json.dumps(definition))


def put(folder: Path, number: int, records: int) -> None:
    """Let a file appear, whole."""
    first = number * records
    beside = folder / "next.part"
    beside.write_text("".join(json.dumps({"id": f"r{each:09}"}) + "\n" for each in range(first, first + records)))
    beside.rename(folder / "inbox" / f"{number:06}.jsonl")


def asked(path: Path, query: str) -> Any:
    """Return the first row of an answer; None where there is nothing to ask yet."""
    if not path.exists():
        return None
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as database:
            return database.execute(query).fetchone()
    except sqlite3.OperationalError:
        return None


def loaded(folder: Path) -> int:
    """Return how many rows are at the destination."""
    found = asked(folder / "out.db", "SELECT count(*) FROM t")
    return 0 if found is None else int(found[0])


def opened(folder: Path) -> subprocess.Popen[bytes]:
    """Start `loom run` of the stream as a process, and write what it says to `log.txt`."""
    log = (folder / "log.txt").open("ab")
    with log:
        return subprocess.Popen(
            [sys.executable, "-m", "loom", "run", "pipeline.yaml"], cwd=folder, stdout=log, stderr=log
        )


def looked(folder: Path) -> float:
    """Return the seconds that the queries of `loom status STREAM` take, from within this process."""
    import asyncio

    from loom.project.config import LoomConfig
    from loom.views import open_views

    async def look() -> float:
        async with open_views(LoomConfig.load(folder / "loom.yaml")) as views:
            (stream,) = await views.shown_streams("endurance")
            began = time.perf_counter()
            await views.shown_stream(stream.stream_id)
            return time.perf_counter() - began

    return asyncio.run(look())


def memory(pid: int) -> float:
    """Return the MiB of memory that a process holds; 0 where it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS")), 0.0)


def shown(folder: Path, process: subprocess.Popen[bytes], windows: int, kills: int) -> None:
    """Print a row of the table."""
    print(f"| {windows} | {kills} | {memory(process.pid):.0f} | {1000 * looked(folder):.1f} |", flush=True)


def carried_out(folder: Path, options: argparse.Namespace) -> int:
    """Feed the stream until so many windows have closed or the time is over, and kill it on the way. Return the number
    of records that were put."""
    process, ends = opened(folder), time.monotonic() + options.seconds
    of_file = options.records * _FILE_WINDOWS
    files, kills, told = 0, 0, 0
    every = max(1, options.windows // 10)
    next_kill = time.monotonic() + options.kill_every
    while (files * _FILE_WINDOWS) < options.windows and time.monotonic() < ends:
        rows = loaded(folder)
        if files - rows // of_file < _AHEAD:
            put(folder, files, of_file)
            files += 1
        if time.monotonic() >= next_kill and rows:
            process.send_signal(signal.SIGKILL)
            process.wait()
            process, kills = opened(folder), kills + 1
            next_kill = time.monotonic() + options.kill_every
        if (windows := rows // options.records) >= told + every:
            told = windows
            shown(folder, process, windows, kills)
        time.sleep(_LOOK_SECONDS)
    while loaded(folder) < files * of_file and process.poll() is None:
        time.sleep(_LOOK_SECONDS)
    shown(folder, process, loaded(folder) // options.records, kills)
    process.send_signal(signal.SIGINT)
    process.wait(60)
    return files * of_file


def main() -> None:
    """Print the table, and see that everything is there once."""
    parser = argparse.ArgumentParser(prog="python -m bench.stream_endurance", description=__doc__.partition("\n")[0])
    parser.add_argument("--windows", type=int, default=10_000, help="windows to be closed (default: %(default)s)")
    parser.add_argument("--records", type=int, default=100, help="records of each of them (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=900.0, help="at most so long (default: %(default)s)")
    parser.add_argument("--kill-every", type=float, default=20.0, help="seconds between kills (default: %(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="loom-endurance-") as temporary:
        folder = Path(temporary) / "project"
        written(folder, options.records)
        print("| windows | kills | RSS MiB | look ms |\n|---|---|---|---|")
        records = carried_out(folder, options)
        rows, different = asked(folder / "out.db", "SELECT count(*), count(DISTINCT id) FROM t")
        (booked,) = asked(
            folder / ".loom/loom.db", "SELECT sum(records_processed) FROM pipeline_runs WHERE stream IS NOT NULL"
        )
        size = (folder / ".loom/loom.db").stat().st_size / 2**20
    print(f"\n{records:,} records put, {rows:,} rows of {different:,} loaded, {booked:,} in the books, {size:.0f} MiB")
    if not records == rows == different == booked:
        sys.exit("stream_endurance: records are missing or double, or the books do not say the same")


if __name__ == "__main__":
    main()
