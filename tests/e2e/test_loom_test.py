"""Tests of a pipeline ask a model's endpoint once, counted there, and then never again."""

import json

import pytest

from loom.cli.app import main
from support.simulated_model import served_in_a_thread
from support.tested_pipelines import project


def exit_code(*arguments):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return ended.value.code


@pytest.fixture
def moods(tmp_path, monkeypatch):
    """Holds the project, which is the working directory. Its tests expect an answer of the shape, whichever it is."""
    monkeypatch.chdir(tmp_path)
    for name in ("LOOM_BUS_URL", "LOOM_STATE_URL", "LOOM_JOURNAL_URL"):
        monkeypatch.delenv(name, raising=False)
    project(tmp_path)
    shape = "expect: {schema: {required: [mood, confidence]}}"
    tests = [f"  - {{name: n{number}, input: {{id: {number}, review: r{number}}}, {shape}}}" for number in range(4)]
    (tmp_path / "tests/moods.yaml").write_text("\n".join(["tests:", *tests, ""]))
    return tmp_path


def test_the_endpoint_is_asked_once_and_its_key_is_written_nowhere(moods, monkeypatch, capsys):
    with served_in_a_thread() as model:
        monkeypatch.setenv("OPENAI_BASE_URL", model.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-planted-0123456789")
        assert exit_code("test", "--update") == 0, capsys.readouterr().out
        assert model.stats["calls"] == 4
        assert exit_code("test") == 0
        assert model.stats["calls"] == 4
        assert exit_code("test", "--live", "--filter", "n1") == 0
        assert model.stats["calls"] == 5
    assert "sk-planted" not in (moods / "tests/cassettes/moods.json").read_text()
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    assert exit_code("test", "--format", "json") == 0, "another endpoint, which is not there, is not asked"
    capsys.readouterr()


def test_an_endpoint_that_is_not_there_is_told(moods, monkeypatch, capsys):
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    monkeypatch.setenv("LOOM_BREAKER_SEEK_SECONDS", "0.2")
    assert exit_code("test", "--update", "--format", "json") == 2
    document = json.loads(capsys.readouterr().out)
    assert document["errors"] == 4
    assert all("127.0.0.1:1" in each["error"] for each in document["tests"])
    assert not (moods / "tests/cassettes").exists()
