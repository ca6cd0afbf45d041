"""Runs the tests of the example, and those of the page about tests, as a reader would: without a key."""

import shutil

import pytest

from loom.cli.app import main
from support.documents import ROOT, of_page

EXAMPLE = ROOT / "examples/customer_sentiment"
SHOWN = [each for each in of_page(ROOT / "docs/testing.md") if each.kind == "yaml" and "\ntests:" in f"\n{each.body}"]


@pytest.fixture
def example(tmp_path, monkeypatch):
    """Holds a copy of the example, which is the working directory."""
    place = tmp_path / "example"
    shutil.copytree(EXAMPLE, place, ignore=shutil.ignore_patterns(".loom", "results"))
    monkeypatch.chdir(place)
    for name in ("LOOM_BUS_URL", "LOOM_STATE_URL", "LOOM_JOURNAL_URL", "OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    return place


def exit_code(*arguments):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return ended.value.code


def test_the_tests_of_the_example_pass_without_a_key(example, capsys):
    assert exit_code("test") == 0, capsys.readouterr().out
    said = capsys.readouterr().out
    assert "11 passed" in said
    assert "0 calls to models, $0.0000; 8 answers replayed." in said


def test_every_test_that_the_page_shows_passes(example, capsys):
    recordings = (example / "tests/cassettes/llm.json").read_text()
    shutil.rmtree(example / "tests")
    (example / "tests/cassettes").mkdir(parents=True)
    for number, snippet in enumerate(SHOWN):
        named = "" if snippet.body.startswith("pipeline:") else "pipeline: ../pipeline.yaml\n"
        (example / f"tests/shown{number}.yaml").write_text(named + snippet.body)
        (example / f"tests/cassettes/shown{number}.json").write_text(recordings)
    assert len(SHOWN) >= 5
    # An update stores the baseline that the page compares with. No model is asked: what is asked is recorded.
    assert exit_code("test", "--update") == 0, capsys.readouterr().out
    assert "0 calls to models" in capsys.readouterr().out
