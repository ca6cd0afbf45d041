"""Tests that an import of other people's code ends, whatever that code does."""

import os
import threading
import time

import pytest

from loom_common.errors import UserCodeError
from loom_common.foreign_code import imports
from loom_common.foreign_code.imports import ImportHangs, imported
from loom_common.foreign_code.process_guard import is_foreign
from loom_common.user_code.functions import load_function

SECONDS = 0.3


@pytest.fixture
def release():
    """Lets everything that hangs come back, so that no thread outlives its test for long."""
    event = threading.Event()
    yield event
    event.set()


def test_it_gives_what_the_import_gives_and_raises_what_it_raises():
    def exits() -> None:
        raise SystemExit(3)

    assert imported("fine", lambda: 7) == 7
    with pytest.raises(SystemExit):
        imported("exits", exits)


def test_it_runs_as_foreign_code_and_may_import_more():
    assert imported("outer", lambda: (is_foreign(), imported("inner", is_foreign))) == (True, True)
    assert not is_foreign()


def test_an_import_that_hangs_is_told_with_its_line_and_not_waited_for_again(release):
    def hangs() -> None:
        release.wait()

    with pytest.raises(ImportHangs, match=rf"did not end within {SECONDS:g} s \(it stands at .*{__file__}:\d+\)"):
        imported("hanging", hangs, SECONDS)
    with pytest.raises(ImportHangs, match=r"begun \d+ s ago, goes on \(it stands at"):
        imported("hanging", hangs, 3600.0)


def test_a_module_whose_import_hangs_holds_up_no_other_one(tmp_path, monkeypatch):
    monkeypatch.setattr(imports, "IMPORT_SECONDS", SECONDS)
    (tmp_path / "hangs.py").write_text(
        "import pathlib, time\n"
        "while not (pathlib.Path(__file__).parent / 'go').exists():\n"
        "    time.sleep(0.01)\n"
        "def f(record): return record\n"
    )
    (tmp_path / "fine.py").write_text("def f(record): return record\n")
    began = time.monotonic()
    with pytest.raises(UserCodeError, match=r"'hangs:f': hangs cannot be used: .*within 0.3 s .*hangs.py:\d"):
        load_function("hangs:f", tmp_path)
    assert time.monotonic() - began >= SECONDS
    monkeypatch.undo()
    assert load_function("fine:f", tmp_path)({}) == {}
    (tmp_path / "go").touch()


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_copy_that_a_module_makes_of_the_process_does_not_go_on_with_loom_s_work(tmp_path):
    (tmp_path / "forks.py").write_text(
        "import os\nchild = os.fork()\nif child:\n    os.waitpid(child, 0)\ndef f(): pass\n"
    )
    process = os.getpid()
    load_function("forks:f", tmp_path)
    assert os.getpid() == process


@pytest.mark.parametrize(
    "line",
    ["os._exit(3)", "os.kill(os.getpid(), 9)", "os.execv('/bin/true', ['true'])", "os.chdir('/')", "os.close(2)"],
)
def test_a_module_that_would_end_or_change_the_process_is_refused_with_its_line(tmp_path, line):
    (tmp_path / "ends.py").write_text(f"import os\n\n{line}\ndef f(): pass\n")
    with pytest.raises(UserCodeError, match=r"ends.py:3\): RefusedToForeignCode: os\.\w+\(\) is refused"):
        load_function("ends:f", tmp_path)
