"""Distributional tests compare with the outputs of an earlier run, and ask no model for them."""

from __future__ import annotations

import json

import pytest

from loom.cli.app import main
from support.simulated_model import served_in_a_thread
from support.tested_pipelines import change, project

TESTS = """tests:
  - name: as it was
    type: distributional
    expect:
      fields:
        mood: {{drift: {{baseline: {run}, test: chi_square}}}}
        confidence: {{drift: {{baseline: {run}, test: ks, max: 0.1}}}}
  - name: those that passed
    type: distributional
    of: passed
    expect:
      fields:
        confidence: {{drift: {{baseline: {run}}}}}
        mood: {{drift: {{baseline: {run}, test: psi}}}}
"""


def told(capsys, *arguments) -> tuple[int, dict]:
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--format", "json"])
    out, err = capsys.readouterr()
    assert out, err
    return ended.value.code or 0, json.loads(out)


@pytest.fixture
def moods(tmp_path, monkeypatch):
    """Holds the project, which is the working directory."""
    monkeypatch.chdir(tmp_path)
    for name in ("LOOM_BUS_URL", "LOOM_STATE_URL", "LOOM_JOURNAL_URL"):
        monkeypatch.delenv(name, raising=False)
    project(tmp_path)
    rows = "".join(f"{number},review {number}\n" for number in range(30))
    (tmp_path / "reviews.csv").write_text(f"id,review\n{rows}")
    return tmp_path


def test_a_run_is_the_baseline_and_a_shift_is_found(moods, monkeypatch, capsys):
    with served_in_a_thread() as model:
        monkeypatch.setenv("OPENAI_BASE_URL", model.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "k")
        _, report = told(capsys, "run", "pipeline.yaml")
        assert 0 < report["records"]["rejected"] < 30, "the baseline has records that were kept back"
        (moods / "tests/moods.yaml").write_text(TESTS.format(run=report["run_id"]))

        code, found = told(capsys, "test")
        assert (code, found["passed"], model.calls) == (0, 2, 30)
        measured = {each["name"]: each["measured"] for each in found["tests"]}
        assert measured["as it was"]["fields.mood.drift.chi_square.statistic"] == 0
        assert measured["as it was"]["fields.confidence.drift.ks.statistic"] == 0
        assert measured["those that passed"]["fields.confidence.drift.ks.statistic"] == 0
        assert measured["those that passed"]["fields.mood.drift.psi.index"] == 0

        (moods / "tests/moods.yaml").write_text(TESTS.format(run="run_0123456789ab"))
        code, found = told(capsys, "test")
        assert code == 2
        assert all("run_0123456789ab" in each["error"] for each in found["tests"])
        (moods / "tests/moods.yaml").write_text(TESTS.format(run=report["run_id"]))

        change(
            moods / "pipeline.yaml",
            "confidence: {type: number, minimum: 0,",
            "confidence: {type: number, minimum: 0.9,",
        )
        code, found = told(capsys, "test", "--live")
    assert code == 1
    assert {each["what"] for each in found["tests"][0]["failures"]} == {"fields.confidence.drift.ks.statistic"}
    assert "fields.confidence.drift.ks.p" in {each["what"] for each in found["tests"][1]["failures"]}


def test_outputs_that_are_gone_are_told_and_the_rest_is_no_baseline(moods, monkeypatch, capsys):
    source = moods / "reviews.csv"
    whole = source.read_text()
    with served_in_a_thread() as model:
        monkeypatch.setenv("OPENAI_BASE_URL", model.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "k")
        _, report = told(capsys, "run", "pipeline.yaml")
        tests = TESTS.format(run=report["run_id"]).replace("type: dis", "source: ../copy.csv\n    type: dis")
        (moods / "tests/moods.yaml").write_text(tests)
        (moods / "copy.csv").write_text(whole)
        told(capsys, "test", "--update")

        def assert_told(words: str) -> None:
            code, found = told(capsys, "test")
            assert code == 2
            assert all(words in each["error"] for each in found["tests"])

        source.write_text("id,review\n1,review 1\n")
        assert_told("its source holds")
        source.unlink()
        assert_told("its source cannot be read any more")
        source.write_text(whole)
        (moods / ".loom/journal.db").unlink()
        assert_told("are gone, e.g. of")
