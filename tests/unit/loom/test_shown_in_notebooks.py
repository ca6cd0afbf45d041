"""Tests what notebooks show of pipelines, runs and results: HTML of nothing but data."""

import sys
from html.parser import HTMLParser
from types import SimpleNamespace

import pytest

import loom
from loom.display.live_progress import LiveProgress, progress_html
from loom.display.pipeline_graph import pipeline_svg
from loom.display.run_report import run_html, run_text
from loom.sdk.listed import Listed, QuarantinedRecord
from loom.sdk.run_result import RunResult
from loom_common.contracts.v1 import CheckSummary, EvaluatorSummary, KeptReason, RunProgress, RunReport, StageCalls
from loom_common.domain.definition.reader import parse
from loom_common.domain.json_values.html_tables import as_html
from loom_common.domain.run.tally import Tally

HARM = "</text></title>\"'><script>alert(1)</script>&\u202e\x07"
SAFE = {"b", "br", "circle", "code", "div", "g", "line", "path", "progress", "rect", "span", "svg", "table", "td"}
SAFE |= {"text", "th", "title", "tr"}


class Elements(HTMLParser):
    """Collects the elements of HTML, and their attributes."""

    def __init__(self, html):
        super().__init__()
        self.names, self.attributes, self.texts = [], [], []
        self.feed(html)

    def handle_starttag(self, name, attributes):
        self.names.append(name)
        self.attributes += [each for each, _ in attributes]

    def handle_data(self, text):
        self.texts.append(text)


def report(**changes):
    given = {
        "run_id": HARM,
        "pipeline": HARM,
        "version": HARM,
        "status": "failed",
        "error": HARM,
        "records": {"extracted": 10, "loaded": 6, "rejected": 3, "quarantined": 1, "passed": 6},
        "evaluation": {HARM: EvaluatorSummary(mean=0.5, std=0.2, min=0.1, max=1.0, threshold=0.7, pass_rate=0.6)},
        "cost": {"total": 0.25},
        "calls": {},
        "latency": {},
        "duration_seconds": 2.5,
        "destination": f"postgres://user:secret@db/{HARM}",
        "reasons": (KeptReason(records=3, stage="evaluate", outcome="rejected", code="c", reason=HARM, example=HARM),),
        "spending": (
            StageCalls(
                stage="transform", purpose="transform", provider="p", model=HARM, made=3, tokens_in=9, cost=0.25
            ),
        ),
        "checks": (
            CheckSummary(
                stage="extract", name=HARM, check="regex", column="a", action="warn", seen=9, missed=2, outcome="warned"
            ),
        ),
        "rows": ({HARM: HARM},),
        "sample": 10,
    }
    return RunReport.model_validate({**given, **changes})


def progress(**changes):
    given = {"run_id": "r", "pipeline": HARM, "status": "running", "tally": Tally(loaded=3, rejected=1), "total": 8}
    return RunProgress.model_validate({**given, "stages": {}, "elapsed": 2.0, "notice": HARM, **changes})


def pipeline():
    return parse(
        {
            "name": "reviews",
            "extract": {"source": f"data/{HARM}.csv"},
            "transform": {"steps": [{"name": "one", "type": "python", "function": "a:b"}]},
            "evaluate": {"evaluators": [{"type": "contains", "values": ["a"], "field": "b", "threshold": 1}]},
            "load": {"destination": f"out/{HARM}.csv"},
        }
    )


@pytest.mark.parametrize(
    "html",
    [
        run_html(report()),
        pipeline_svg(pipeline()),
        progress_html(progress()),
        as_html([{HARM: HARM, "deep": [{HARM: [HARM]}]}]),
        Listed([QuarantinedRecord({"record_data": {HARM: HARM}})])._repr_html_(),
    ],
    ids=["report", "pipeline", "progress", "table", "quarantined"],
)
def test_what_a_record_holds_is_text_and_never_markup(html):
    found = Elements(html)
    assert set(found.names) <= SAFE
    assert not [each for each in found.attributes if each.startswith("on") or each in ("src", "href")]
    assert any("<script>alert(1)</script>" in text for text in found.texts)
    assert "\u202e" not in html
    assert "\x07" not in html


def test_records_that_steps_made_others_of_are_done_in_a_progress():
    tally = Tally(extracted=8, unnested=1, derived=4, grouped=7, loaded=4)
    assert "12 of 12 records" in progress_html(progress().model_copy(update={"tally": tally, "total": 12}))


def test_a_result_shows_its_report_with_plots_and_no_secret():
    shown = RunResult(report())._repr_mimebundle_()
    assert shown["text/html"].count("<svg") == 2
    assert "60.0% pass" in shown["text/html"]
    assert "secret" not in shown["text/html"]
    assert run_text(report(run_id="run_1", pipeline="p", version="1")) == (
        "failed: p 1, run_1: 10 extracted, 6 loaded, 3 rejected, 1 quarantined"
    )


def test_a_run_without_records_and_evaluators_is_shown_too():
    assert "<svg" not in run_html(report(records={"extracted": 0}, evaluation={}))


def test_a_pipeline_is_drawn_with_the_names_of_its_functions():
    def mood(record):
        return record

    built = loom.Pipeline(name="a", extract={"source": "a.csv"}, transform=mood, load={"destination": print})
    texts = Elements(built._repr_html_()).texts
    assert "python mood" in texts
    assert "print" in texts


def test_long_lists_and_texts_are_cut():
    html = as_html([{"id": number, "text": "x" * 1_000} for number in range(120)])
    assert html.count("<tr>") == 51
    assert html.endswith(" and 70 more")
    assert "x" * 500 not in html


class Shell:
    """Stands for the shell of a notebook's kernel, and collects what is displayed."""

    def __init__(self, monkeypatch):
        self.shown = []
        display = SimpleNamespace(HTML=lambda html: html, display=self.display)
        monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=1)))
        monkeypatch.setitem(sys.modules, "IPython.display", display)

    def display(self, html, *, display_id):
        self.shown.append(html)
        return SimpleNamespace(update=self.shown.append)


def test_progress_is_shown_in_a_notebook_and_taken_away_at_the_end(monkeypatch):
    shell, live = Shell(monkeypatch), LiveProgress()
    live.end()
    assert shell.shown == []
    live.show(progress(tally=Tally(loaded=3, rejected=1), notice=None))
    live.show(progress(total=None))
    live.end()
    assert "4 of 8 records, 3 loaded, 1 kept back" in shell.shown[0]
    assert "<progress" not in shell.shown[1]
    assert shell.shown[2:] == [""]


def test_nothing_is_shown_outside_of_a_notebook(monkeypatch):
    shell = Shell(monkeypatch)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))
    live = LiveProgress()
    live.show(progress())
    live.end()
    assert shell.shown == []
