"""Tests files as destinations: killed at any moment, columns that differ, places that cannot be written."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import orjson
import pytest

from loom_common.config.credentials import Credentials
from loom_common.domain.definition.load import LoadConfig
from loom_common.errors import AccessRefused, DestinationError, StagedRowsLost
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.destination import LoadBatch, Row
from loom_connectors.registry import open_destination
from loom_connectors.sqlite import connector  # noqa: F401  # another user, as whom some tests run, may not read the library


class Killed(BaseException):
    """Ends the process here."""


def destination(folder: Path, location: str = "out.csv", mode: str | None = None):
    config = LoadConfig(destination=location, mode=mode)
    return open_destination(config, ConnectorContext(folder, Credentials({})))


def batch(position: int, *rows: dict, run: str = "run_1") -> LoadBatch:
    return LoadBatch(run, f"b{position}", 0, 0, position, [Row(str(at), values) for at, values in enumerate(rows)])


async def written(folder: Path, *rows: dict, location: str = "out.csv", mode: str | None = None, run: str = "run_1"):
    """Return the file after a run that loaded each row as a batch."""
    opened = destination(folder, location, mode)
    for position, values in enumerate(rows):
        await opened.load(batch(position, values, run=run))
    await opened.finalize(run, complete=True)
    return (folder / location).read_text(encoding="utf-8")


@pytest.mark.parametrize("mode", ["append", "replace"])
async def test_a_file_is_not_made_where_the_contract_of_the_rows_freezes_tables(tmp_path, mode):
    config = LoadConfig(destination="out.csv", mode=mode, schema={"tables": "freeze"})
    opened = open_destination(config, ConnectorContext(tmp_path, Credentials({})))
    with pytest.raises(DestinationError, match=r"There is no .*out\.csv.*`tables: freeze`"):
        await opened.check()
    (tmp_path / "out.csv").write_text("id\n")
    await opened.check()
    beside = open_destination(config, ConnectorContext(tmp_path, Credentials({}), sample=True))
    await beside.check()


@pytest.mark.parametrize("mode", ["append", "replace"])
@pytest.mark.parametrize("more", [False, True], ids=["at the end", "before the last batch"])
async def test_loaded_rows_that_somebody_removed_are_never_reported_as_a_result(tmp_path, mode, more):
    opened = destination(tmp_path, "out/out.csv", mode)
    await opened.load(batch(0, {"id": 1}))
    shutil.rmtree(tmp_path / "out")
    if more:
        with pytest.raises(DestinationError, match="was removed while the run was loading"):
            await opened.load(batch(1, {"id": 2}))
    with pytest.raises(DestinationError, match="Start a new run"):
        await opened.finalize("run_1", complete=True)
    await opened.finalize("run_1", complete=False)
    await opened.drop("run_1")
    await opened.load(batch(0, {"id": 3}, run="run_2"))
    assert await opened.finalize("run_2", complete=True)
    assert (tmp_path / "out" / "out.csv").read_text() == "id\n3\n"


@pytest.mark.parametrize("mode", ["append", "replace"])
@pytest.mark.parametrize("removed", ["*/run_1/0-0-1-*", "*/run_1", "*"], ids=["a part", "all parts", "the folder"])
async def test_parts_that_somebody_removed_are_missed_by_another_process_too(tmp_path, mode, removed):
    (tmp_path / "out").mkdir()
    opened = destination(tmp_path, "out/out.csv", mode)
    for number in range(3):
        await opened.load(batch(number, {"id": number}))
    [gone] = (tmp_path / "out").glob(removed)
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    resumed = destination(tmp_path, "out/out.csv", mode)  # as in another process
    with pytest.raises(StagedRowsLost, match=r"of 3 beside .*out\.csv (is|are) gone.*Start a new run"):
        await resumed.see_staged("run_1", 3)
    await resumed.drop("run_1")
    assert not list((tmp_path / "out").glob("out.csv"))  # no half of a run is shown


@pytest.mark.parametrize("mode", ["append", "replace"])
async def test_parts_that_are_all_there_or_in_the_file_are_not_missed(tmp_path, mode):
    opened = destination(tmp_path, "out.csv", mode)
    for number in range(3):
        await opened.load(batch(number, {"id": number}))
    await opened.see_staged("run_1", 3)
    await opened.finalize("run_1", complete=True)
    await opened.see_staged("run_1", 3)  # the word came again
    assert (tmp_path / "out.csv").read_text() == "id\n0\n1\n2\n"


async def test_parts_of_a_run_that_was_shown_when_it_was_cancelled_are_not_missed_after_its_resume(tmp_path):
    opened = destination(tmp_path, "out.csv", "append")
    await opened.load(batch(0, {"id": 0}))
    await opened.drop("run_1")
    await opened.load(batch(1, {"id": 1}))
    await opened.see_staged("run_1", 2)
    with pytest.raises(StagedRowsLost):
        await opened.see_staged("run_1", 3)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("moment", range(8))
@pytest.mark.parametrize("mode", ["append", "replace"])
async def test_a_run_killed_at_any_rename_is_finished_by_running_it_again(tmp_path, monkeypatch, mode, moment, after):
    (tmp_path / "out.csv").write_text("id\n0\n")
    done, rename = [], Path.replace

    def replace(self: Path, target: Path) -> Path:
        done.append(target)
        if len(done) == moment + 1 and not after:
            raise Killed
        rename(self, target)
        if len(done) == moment + 1:
            raise Killed
        return target

    async def run() -> None:
        opened = destination(tmp_path, mode=mode)
        for position, number in enumerate((1, 2)):
            await opened.load(batch(position, {"id": number}))
        await opened.finalize("run_1", complete=True)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", replace)
        try:
            await run()
            killed = False
        except Killed:
            killed = True
    # two parts, the manifest, the file where it is replaced, the manifest again
    assert killed == (moment < (4 if mode == "append" else 5))
    await run()
    assert (tmp_path / "out.csv").read_text() == ("id\n0\n1\n2\n" if mode == "append" else "id\n1\n2\n")
    assert not list((tmp_path / "out.csv.loom").rglob("*.part"))


async def test_a_run_killed_before_its_clean_up_is_not_added_again_after_another_run(tmp_path, monkeypatch):
    opened = destination(tmp_path, mode="append")
    await opened.load(batch(0, {"id": 1}))
    rename = Path.replace

    def replace(self: Path, target: Path) -> Path:
        rename(self, target)
        if target.name == "run_1.json" and b"publishing" not in target.read_bytes():
            raise Killed
        return target

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", replace)
        with pytest.raises(Killed):
            await opened.finalize("run_1", complete=True)
    assert await written(tmp_path, {"id": 2}, mode="append", run="run_2") == "id\n1\n2\n"
    await opened.finalize("run_1", complete=True)
    assert (tmp_path / "out.csv").read_text() == "id\n1\n2\n"


async def test_columns_are_those_of_all_rows_in_the_order_first_seen(tmp_path):
    text = await written(tmp_path, {"b": 1}, {"a": "x,y", "b": 2}, {"c": "l\nm"})
    assert text == 'b,a,c\n1,,\n2,"x,y",\n,,"l\nm"\n'


async def test_an_appending_run_ends_a_last_line_that_was_left_open(tmp_path):
    (tmp_path / "out.csv").write_text("id\n1")
    assert await written(tmp_path, {"id": 2}, mode="append") == "id\n1\n2\n"
    (tmp_path / "out.jsonl").write_text('{"id":1}')
    assert await written(tmp_path, {"id": 2}, location="out.jsonl", mode="append") == '{"id":1}\n{"id":2}\n'


async def test_values_are_written_so_that_they_can_be_read(tmp_path):
    row = {"none": None, "yes": True, "list": [1, "ü"], "object": {"a": 1}, "cr": "a\rb"}
    assert await written(tmp_path, row) == (
        'none,yes,list,object,cr\n,true,"[1,""ü""]","{""a"":1}","a\nb"\n'  # read_text turns \r into \n
    )
    row = {"big": 2**70, "half": "\ud800", "text": "ü"}
    assert orjson.loads((await written(tmp_path, {"text": "ü"}, location="a.jsonl")).encode()) == {"text": "ü"}
    assert '"big": 1180591620717411303424, "half": "\\ud800"' in await written(tmp_path, row, location="b.jsonl")


async def test_a_tsv_file_has_tabs(tmp_path):
    assert await written(tmp_path, {"a": 1, "b": "x,y"}, location="out.tsv") == "a\tb\n1\tx,y\n"


async def test_the_same_batch_is_the_same_bytes(tmp_path):
    one, other = destination(tmp_path / "one"), destination(tmp_path / "other")
    for opened in (one, other):
        await opened.load(batch(0, {"a": 1.1, "b": {"z": 1, "a": 2}}))
    parts = sorted(tmp_path.rglob("*.part"))
    assert [part.name for part in parts] == ["0-0-0-b0.part"] * 2
    assert parts[0].read_bytes() == parts[1].read_bytes()


@pytest.fixture
def locked_folder():
    """Provide a folder that this user may read and not write."""
    folder = Path(tempfile.mkdtemp())
    (folder / "out.csv").write_text("id\n")
    folder.chmod(0o555)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    yield folder
    if root:
        os.seteuid(0)
    folder.chmod(0o755)
    shutil.rmtree(folder)


@pytest.mark.parametrize("location", ["out.csv", "new.csv", "deep/new.jsonl", "sqlite:///new.db?table=t"])
async def test_a_read_only_folder_is_refused_with_its_place(locked_folder, location):
    opened = destination(locked_folder, location)
    with pytest.raises(AccessRefused, match=str(locked_folder)):
        await opened.check()
    with pytest.raises((AccessRefused, DestinationError), match=str(locked_folder)):
        await opened.load(batch(0, {"id": 1}))
    await opened.close()


async def test_a_place_that_is_no_file_is_an_error(tmp_path):
    (tmp_path / "out.csv").mkdir()
    with pytest.raises(DestinationError, match="is a folder"):
        await destination(tmp_path).check()
    (tmp_path / "plain").touch()
    with pytest.raises(DestinationError, match="is a file"):
        await destination(tmp_path, "plain/out.csv").check()


async def test_a_check_touches_nothing(tmp_path):
    for location in ("deep/out.csv", "deep/out.jsonl", "sqlite:///deep/out.db?table=t"):
        await destination(tmp_path, location).check()
    assert not list(tmp_path.iterdir())
