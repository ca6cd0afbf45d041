"""Tests `loom show`, `loom compare` and `loom report`, which show what a run came to."""

from __future__ import annotations

import re

import pytest

from loom.cli.output.results.paged import paged
from loom.results.plots import binned, histogram
from support.projects import project, python

CODE = """
def judged(record):
    if record["id"] == "r000001":
        raise ValueError("no <b>such</b> thing")
    return {"score": int(record["stars"]), "said": "<script>alert(1)</script>"}
"""
STARS = {"type": "range", "name": "stars", "field": "score", "min": 3, "threshold": 1.0}


def test_a_run_is_shown_record_by_record_and_as_a_page(loom, tmp_path):
    project(
        tmp_path, 6, name="shown", transform=python(), evaluate={"evaluators": [STARS]}, code=CODE,
        extract={"key": "id"},
    )  # fmt: skip
    run_id = loom("run", "pipeline.yaml", "--format", "json").report["run_id"]

    listed = loom("show", "latest", "--format", "json").report
    outcomes = {each["record_id"]: each["outcome"] for each in listed["records"]}
    assert outcomes == {
        "r000000": "rejected", "r000001": "quarantined", "r000002": "loaded", "r000003": "loaded", "r000004": "loaded",
        "r000005": "rejected",
    }  # fmt: skip
    assert (listed["in_all"], listed["records"][0]["output"]["score"]) == (6, 3)
    assert "2 of 6 records are shown" in loom("show", run_id, "--limit", "2").err

    loaded = loom("show", run_id, "r000002", "--format", "json").report
    assert (loaded["input"]["stars"], loaded["output"]["score"], loaded["kept"]) == ("3", 3, None)
    assert (loaded["scores"][0]["evaluator_name"], loaded["scores"][0]["score"]) == ("stars", 1.0)
    assert "stars: 1.00, threshold 1" in loom("show", run_id, "r000002").words
    assert "no <b>such</b> thing" in loom("show", "latest", "r000001").words
    refused = loom("show", run_id, "r9")
    assert (refused.code, "does not hold one of this id, and none was kept back" in refused.err) == (2, True)

    assert loom("compare", run_id, "latest").out == loom("diff", run_id, run_id).out

    assert loom("report", "--html", "out/page.html").code == 0
    page = (tmp_path / "out/page.html").read_text()
    assert f"<title>shown 1.0.0: {run_id}</title>" in page
    assert "no &lt;b&gt;such&lt;/b&gt; thing" in page
    assert not re.search(r"(?:src|href)=|https?://|url\(", page)
    assert page.count("<svg") == 1


def test_a_histogram_has_every_record_and_the_threshold():
    counts = [0] * 101
    counts[0], counts[29], counts[70], counts[100] = 3, 4, 5, 6
    bars = binned(counts)
    assert (len(bars), sum(bars)) == (20, 18)
    assert {position: number for position, number in enumerate(bars) if number} == {0: 3, 5: 4, 14: 5, 19: 6}
    drawn = histogram("a<b", counts, 0.7)
    assert re.findall(r'class="(pass|miss)"', drawn) == ["miss", "miss", "pass", "pass"]
    assert "threshold 0.7" in drawn
    assert "a&lt;b" in drawn
    assert "threshold" not in histogram("x", counts, None)
    assert re.findall(r'class="(pass|miss)"', histogram("x", [0] * 100 + [1], 1.0)) == ["pass"]


@pytest.mark.parametrize(("lines", "is_paged"), [(5, False), (500, True)])
def test_what_is_longer_than_the_terminal_is_shown_in_a_pager(monkeypatch, capsys, lines, is_paged):
    from rich.console import Console

    from loom.cli.output import terminal

    shown: list[str] = []
    monkeypatch.setattr(terminal, "stdout", lambda: Console(force_terminal=True, width=80, height=24))
    monkeypatch.setattr("click.echo_via_pager", lambda text, color: shown.append(text))
    paged(lambda console: console.print("\n".join(map(str, range(lines))), highlight=False))
    assert bool(shown) is is_paged
    assert "4\n" in (shown[0] if shown else capsys.readouterr().out)
