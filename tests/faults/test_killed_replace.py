"""A process that writes a file of a format which cannot be added to is killed before each of its steps: the file is
the old one or the new one, never a part of it, and whoever goes on leaves each row once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from support.file_contents import records_in

BATCHES, ROWS = 2, 20
OLD = [{"id": -1, "text": "was there"}]
NEW = [{"id": at, "text": f"text {at}, «so»"} for at in range(BATCHES * ROWS)]
LAST = 99
"""Is more than the number of steps."""

# A process that goes on loads what is not known to be loaded, as a resumed run does.
WRITER = f"""
import asyncio, itertools, json, os, shutil, signal, sys
from contextlib import contextmanager
from pathlib import Path
from loom_common.config.credentials import Credentials
from loom_common.domain.definition.pipeline import LoadConfig
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.destination import LoadBatch, Row
from loom_connectors.registry import open_destination
from loom_connectors.storage import local_storage

STEPS = ("put", "remove", "remove_folder", "exchange")
OLD, NEW = json.loads(sys.argv[4])

def killed_before(fatal):
    steps = itertools.count()

    def step():
        if next(steps) == fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    def counted(method):
        def counting(*arguments, **options):
            step()
            return method(*arguments, **options)
        return counting

    class Dying(local_storage.LocalResult):
        @contextmanager
        def writing(self, name, *, durable=False):
            step()
            with super().writing(name, durable=durable) as target:
                yield target
                step()

    for name in STEPS:
        setattr(Dying, name, counted(getattr(local_storage.LocalResult, name)))
    local_storage.LocalResult = Dying

async def load(folder, run, records):
    context = ConnectorContext(folder, Credentials({{}}))
    opened = open_destination(LoadConfig(destination=name, mode=mode), context)
    for at in range(0, len(records), {ROWS}):
        loaded = folder / f"{{run}}-{{at}}"
        if not loaded.exists():
            rows = [Row(str(each["id"]), each) for each in records[at : at + {ROWS}]]
            await opened.load(LoadBatch(run, f"b{{at}}", 0, 0, at, rows))
            loaded.touch()
    await opened.finalize(run, complete=True)
    await opened.close()

def tried(folder, run, records, fatal):
    child = os.fork()
    if child == 0:
        killed_before(fatal)
        asyncio.run(load(folder, run, records))
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

folder, name, mode, _ = sys.argv[1:]
first = Path(folder, "imports")
first.mkdir()
asyncio.run(load(first, "run_0", OLD))  # so that no child has to import anything
assert tried(Path(folder), "run_0", OLD, {LAST}) == 0
for fatal in range({LAST}):
    place = Path(folder, str(fatal))
    place.mkdir()
    shutil.copy(Path(folder, name), place)
    first = tried(place, "run_1", NEW, fatal)
    shutil.copy(place / name, place / f"after.{{name}}")
    second = tried(place, "run_1", NEW, {LAST})
    print(json.dumps([first, second]), flush=True)
    if first == 0:
        break
"""


@pytest.mark.parametrize(
    ("name", "mode"),
    [("out.parquet", "replace"), ("out.xlsx", "replace"), ("out.parquet", "append")],
)
def test_a_process_killed_before_any_step_leaves_a_whole_file_and_each_row_once(
    tmp_path: Path, name: str, mode: str
) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path), name, mode, json.dumps([OLD, NEW])]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr

    codes = [tuple(json.loads(line)) for line in ended.stdout.splitlines()]
    assert codes == [(-9, 0)] * (len(codes) - 1) + [(0, 0)], ended.stderr
    assert len(codes) > 2 * BATCHES
    whole = OLD + NEW if mode == "append" else NEW
    seen = []
    for at in range(len(codes)):
        seen.append(records(tmp_path / str(at) / f"after.{name}"))
        assert records(tmp_path / str(at) / name) == whole, f"resumed after it was killed before step {at}"
    changed = next(at for at, found in enumerate(seen) if found == whole)
    assert seen == [OLD] * changed + [whole] * (len(seen) - changed)
    assert 0 < changed < len(seen) - 1


def records(path: Path) -> list[dict[str, object]]:
    found = records_in(path.name, path.read_bytes())
    return [{"id": int(each["id"]), "text": each["text"]} for each in found]
