"""Runs `loom test` in this process, over a project in a folder of its own, with a model that reads its prompt."""

import json
import shutil
from dataclasses import dataclass

import pytest

from loom.cli.app import main
from support.tested_pipelines import ReadingModel, project


@dataclass(frozen=True)
class Ended:
    """Says how a command ended."""

    code: int
    out: str
    err: str

    @property
    def report(self):
        return json.loads(self.out)

    @property
    def verdicts(self):
        """Return what became of each test by its name."""
        return {each["name"]: each["verdict"] for each in self.report["tests"]}

    @property
    def messages(self):
        return {each["name"]: each["message"] for each in self.report["tests"]}


@pytest.fixture
def model(monkeypatch):
    """Stands in for every model: no test here reaches an endpoint."""
    reading = ReadingModel()
    monkeypatch.setattr("loom_ai.compose.FirstCallClient", reading)
    return reading


@pytest.fixture(scope="session")
def recorded_files(tmp_path_factory):
    """Holds the project with its answers recorded, which each test copies."""
    place = project(tmp_path_factory.mktemp("recorded"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setattr("loom_ai.compose.FirstCallClient", ReadingModel())
        with pytest.raises(SystemExit) as ended:
            main(("test", "--update"))
    assert ended.value.code == 0
    return place


@pytest.fixture
def recorded(folder, recorded_files):
    """Holds the project with its answers recorded, and is the working directory."""
    shutil.copytree(recorded_files / "tests", folder / "tests", dirs_exist_ok=True)
    return folder


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Holds the project, which is the working directory."""
    monkeypatch.chdir(tmp_path)
    for name in ("LOOM_BUS_URL", "LOOM_STATE_URL", "LOOM_JOURNAL_URL", "OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    return project(tmp_path)


@pytest.fixture
def loom(folder, model, capsys):
    """Runs `loom ...`; gives how it ended."""

    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        out, err = capsys.readouterr()
        return Ended(ended.value.code, out, err)

    return run
