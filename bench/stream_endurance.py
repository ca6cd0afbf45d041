"""Keeps an embedded stream going through many windows while its process is killed with SIGKILL again and again.

`python -m bench.stream_endurance --windows 10000 --kills 40 --seconds 900` prints, for each tenth of the windows, how
dear they were, and how memory, the time of a look at the stream and its database have grown. At the end it counts what
is at the destination, what the load ledger says, and audits the books of every window. Exit code 1 where a record is
missing or double, the books differ, or, with `--most`, windows became dearer with their number."""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from bench import endurance
from bench.cpu import seconds as cpu_seconds
from bench.endurance import Look
from bench.result import BenchError
from loom_migrations.engine import open_engine

_PIPELINE = "endurance"
_LOOK_SECONDS = 0.05
_FILE_WINDOWS = 5
"""Says how many windows the records of one file make."""
_AHEAD = 4
"""Says how many files may wait to be read."""
_KEPT_FILES = 20
"""Says how many files that were read stay in the folder. Others are removed, as those that put them there would."""
_END_SECONDS = 120.0


def written(folder: Path, records: int) -> None:
    """Write a project with the pipeline of the stream, whose windows close after `records` records."""
    (folder / "inbox").mkdir(parents=True)
    (folder / "loom.yaml").write_text("{}\n")
    definition = {
        "name": _PIPELINE,
        "mode": "streaming",
        "window": {"every": "1h", "records": records},
        "batch": {"size": records, "wait": "5ms"},
        "extract": {"source": "inbox/*.jsonl", "key": "id", "poll": "10ms", "settle": "0s"},
        "transform": {"type": "passthrough"},
        "load": {"destination": "sqlite:///out.db?table=t", "mode": "append"},
    }
    (folder / "pipeline.yaml").write_text(json.dumps(definition))


def _path(folder: Path, number: int) -> Path:
    return folder / "inbox" / f"{number:06}.jsonl"


def put(folder: Path, number: int, records: int) -> None:
    """Let a file appear, whole."""
    first = number * records
    beside = folder / "next.part"
    beside.write_text("".join(json.dumps({"id": f"r{each:09}"}) + "\n" for each in range(first, first + records)))
    beside.rename(_path(folder, number))


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
    """Return how many rows were added at the destination. Nothing removes one, so the newest one's number tells it,
    and the question takes no longer with more of them."""
    found = asked(folder / "out.db", "SELECT max(rowid) FROM t")
    return 0 if found is None or found[0] is None else int(found[0])


def _noted(folder: Path) -> int:
    """Return how many records stand in the rows of windows that have ended."""
    found = asked(folder / ".loom/loom.db", "SELECT sum(records_processed) FROM pipeline_runs")
    return 0 if found is None or found[0] is None else int(found[0])


class Stream:
    """Runs `loom run` of the stream in a process of its own, which is killed and started again."""

    def __init__(self, folder: Path, records: int) -> None:
        self._folder = folder
        self._records = records
        self._begun = loaded(folder)
        self._used = 0.0
        self._since: float | None = None
        self.kills = 0
        self.process = self._opened()

    def _opened(self) -> subprocess.Popen[bytes]:
        """Start the process, which writes what it says to `log.txt`."""
        command = [sys.executable, "-m", "loom", "run", "pipeline.yaml"]
        with (self._folder / "log.txt").open("ab") as log:
            return subprocess.Popen(command, cwd=self._folder, stdout=log, stderr=log)

    def note(self, rows: int) -> None:
        """Take note of how much CPU was used. What a process needs until its first record is loaded is not that of
        windows."""
        now = cpu_seconds(self.process.pid)
        if self._since is not None:
            self._used += now - self._since
        if self._since is not None or rows > self._begun:
            self._since = now

    def kill(self, rows: int) -> None:
        """Kill the process, and start another one."""
        self.note(rows)
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.kills += 1
        self._begun, self._since = loaded(self._folder), None
        self.process = self._opened()

    def used(self) -> float:
        """Return the CPU seconds since the last time this was asked."""
        used, self._used = self._used, 0.0
        return used


def carried_out(folder: Path, options: argparse.Namespace, looks: list[Look]) -> int:
    """Feed the stream until so many windows have closed or the time is over, and kill it on the way. Return the number
    of records that were put. Raises `BenchError` where the process ends by itself."""
    stream, ends = Stream(folder, options.records), time.monotonic() + options.seconds
    of_file = options.records * _FILE_WINDOWS
    every = max(1, options.windows // options.looks)
    between = options.windows / (options.kills + 1)
    files, removed, told, windows, began = 0, 0, 0, 0, time.monotonic()
    try:
        while windows < options.windows and time.monotonic() < ends:
            rows = loaded(folder)
            windows, read = rows // options.records, rows // of_file
            stream.note(rows)
            if stream.process.poll() is not None:
                raise BenchError(f"the stream ended by itself: {(folder / 'log.txt').read_text()[-2000:]}")
            if files - read < _AHEAD and files * _FILE_WINDOWS < options.windows:
                put(folder, files, of_file)
                files += 1
            for number in range(removed, read - _KEPT_FILES):
                _path(folder, number).unlink()
                removed = number + 1
            if windows >= told + every:
                looks.append(_look(folder, stream, windows, told, began))
                print(looks[-1].row, flush=True)
                told, began = windows, time.monotonic()
            if stream.kills < options.kills and windows >= between * (stream.kills + 1):
                time.sleep(random.random() * _LOOK_SECONDS)  # anywhere within a window
                stream.kill(rows)
            time.sleep(_LOOK_SECONDS)
        deadline = time.monotonic() + _END_SECONDS
        while time.monotonic() < deadline and stream.process.poll() is None:
            if _noted(folder) >= files * of_file:  # the last window has ended, too
                break
            time.sleep(_LOOK_SECONDS)
    finally:
        stream.process.send_signal(signal.SIGINT)
        stream.process.wait(_END_SECONDS)
    return files * of_file


def _look(folder: Path, stream: Stream, windows: int, told: int, began: float) -> Look:
    count, elapsed = windows - told, time.monotonic() - began
    return Look(
        windows=windows,
        kills=stream.kills,
        seconds=elapsed / count,
        cpu=stream.used() / count,
        memory=endurance.memory({"loom": stream.process.pid}),
        look=asyncio.run(endurance.looked(folder, _PIPELINE)),
        size=(folder / ".loom/loom.db").stat().st_size / 2**20,
    )


async def _booked(folder: Path) -> tuple[int, int, list[str]]:
    engine = open_engine(f"sqlite:///{folder / '.loom/loom.db'}", reads=True)
    try:
        async with engine.connect() as connection:
            return await endurance.booked(connection, _PIPELINE)
    finally:
        await engine.dispose()


def main() -> None:
    """Print the table, and see that everything is there once."""
    parser = argparse.ArgumentParser(prog="python -m bench.stream_endurance", description=__doc__.partition("\n")[0])
    parser.add_argument("--windows", type=int, default=10_000, help="windows to be closed (default: %(default)s)")
    parser.add_argument("--records", type=int, default=100, help="records of each of them (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=3600.0, help="at most so long (default: %(default)s)")
    parser.add_argument("--kills", type=int, default=40, help="SIGKILLs on the way (default: %(default)s)")
    parser.add_argument("--looks", type=int, default=10, help="rows of the table (default: %(default)s)")
    parser.add_argument(
        "--most", type=float, help="fail where the last windows are so many times dearer than the first"
    )
    options = parser.parse_args()
    looks: list[Look] = []
    with tempfile.TemporaryDirectory(prefix="loom-endurance-") as temporary:
        folder = Path(temporary) / "project"
        written(folder, options.records)
        print(endurance.HEAD, flush=True)
        records = carried_out(folder, options, looks)
        rows, different = asked(folder / "out.db", "SELECT count(*), count(DISTINCT id) FROM t")
        (ledger,) = asked(folder / "out.db", "SELECT sum(loaded) FROM loom_load_ledger")
        windows, booked, wrong = asyncio.run(_booked(folder))
        size = (folder / ".loom/loom.db").stat().st_size / 2**20
        journal = (folder / ".loom/journal.db").stat().st_size / 2**20
    print(
        f"\n{records:,} records put, {rows:,} rows of {different:,} loaded, {ledger:,} in the load ledger, {booked:,} "
        f"in the books of {windows:,} windows; state {size:.0f} MiB, journal {journal:.0f} MiB"
    )
    if wrong or not records == rows == different == ledger == booked:
        sys.exit("stream_endurance: records are missing or double, or the books do not agree: " + "; ".join(wrong[:5]))
    if options.most and (found := endurance.dearer(looks, options.most)):
        sys.exit("stream_endurance: " + "; ".join(found))


if __name__ == "__main__":
    main()
