"""Carries out the page of each example in a copy of its folder, without a key: its commands in their order, and the
reports that it shows."""

from __future__ import annotations

import re
import runpy
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from loom.cli.app import main
from loom_ai.simulated.known import read_answers
from support.documents import ROOT, of_page
from support.simulated_model import served_in_a_thread

EXAMPLES = sorted(page.parent for page in ROOT.glob("examples/*/README.md") if (page.parent / "loom.yaml").exists())
KEYS = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "LOOM_BUS_URL", "LOOM_STATE_URL", "LOOM_JOURNAL_URL", "LOOM_TARGET")


@pytest.fixture
def example(request, tmp_path, monkeypatch):
    """Provides a copy of an example, as the working directory of a new shell."""
    place = tmp_path / request.param.name
    shutil.copytree(request.param, place, ignore=shutil.ignore_patterns(".loom", "results", "__pycache__"))
    monkeypatch.chdir(place)
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "160")
    return place


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda folder: folder.name, indirect=True)
def test_what_the_page_of_an_example_says_happens(example, monkeypatch, capsys):
    said, shown = "", []
    for block in of_page(example / "README.md"):
        if block.kind == "bash":
            said += "".join(_carry_out(command, monkeypatch, capsys) for command in _commands(block.body))
        elif block.kind == "":
            shown += [line for line in block.body.splitlines() if line.strip()]
    told = {" ".join(line.split()) for line in said.splitlines()}
    assert [line for line in shown if " ".join(line.split()) not in told] == [], said
    assert shown


def _commands(block: str) -> list[list[str]]:
    lines = [shlex.split(line, comments=True) for line in block.splitlines()]
    return [line for line in lines if line and not _is_for_others(line)]


def _is_for_others(command: list[str]) -> bool:
    """Tell whether a command needs a key of a model's provider, or a server."""
    return command[0] == "psql" or bool({"openai", "production"} & set(command))


def _carry_out(command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """Carry out a command in this process, and return what it prints."""
    match command:
        case ["cd", _]:
            pass
        case ["export", setting]:
            monkeypatch.setenv(*re.sub(r"\$\(.*\)", "A" * 43 + "=", setting).split("=", 1))
        case ["cp", source, target]:
            shutil.copy(source, target)
        case ["loom", "simulate-model", *rest]:
            at = rest.index("--")
            options, inner = rest[:at], rest[at + 1 :]
            with served_in_a_thread() as model:
                model.known = read_answers(Path(options[1]), None, {}) if options else None
                monkeypatch.setenv("SIMULATED_BASE_URL", model.base_url)
                return _carry_out(inner, monkeypatch, capsys)
        case ["python", script, *arguments]:
            monkeypatch.setattr(sys, "argv", [script, *arguments])
            runpy.run_path(script, run_name="__main__")
        case ["loom", *arguments]:
            with pytest.raises(SystemExit) as ended:
                main(arguments)
            out, err = capsys.readouterr()
            assert ended.value.code == 0, f"{command}: {out}{err}"
            return out + err
        case _:
            raise AssertionError(f"{command} is not tried")
    return "".join(capsys.readouterr())


def test_nine_examples_have_a_page_and_tests():
    assert len(EXAMPLES) == 9
    assert [each.name for each in EXAMPLES if not [*each.glob("tests/*.yaml")]] == []
