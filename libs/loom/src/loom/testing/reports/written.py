"""Writes the report of tests in each form. Every function returns the whole text."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Any
from xml.etree import ElementTree as ET

from loom.testing.outcomes import Report, Result, Verdict
from loom_common.console.annotations import annotation
from loom_common.console.numbers import money

_CONTROL = {code: None for code in range(32) if code not in (9, 10, 13)} | {0xFFFE: None, 0xFFFF: None}
"""Characters that XML 1.0 cannot hold."""


def as_json(report: Report) -> dict[str, Any]:
    """Return the document of `--format json`."""
    return {
        "passed": report.number(Verdict.PASSED),
        "failed": report.number(Verdict.FAILED),
        "errors": report.number(Verdict.ERROR),
        "exit_code": report.exit_code,
        "seconds": round(report.seconds, 3),
        "calls": report.calls,
        "cost": report.cost,
        "replayed": report.replayed,
        "from_journal": report.from_journal,
        "written": list(report.written),
        "tests": [{**each.as_json(), "id": each.id, "message": each.message} for each in report.results],
    }


def junit(report: Report) -> str:
    """Return JUnit XML, as CI servers read it: a suite for each file, a case for each test."""
    root = ET.Element("testsuites", _counts(report.results, report.seconds))
    for file, group in groupby(report.results, key=lambda each: each.file):
        results = list(group)
        suite = ET.SubElement(root, "testsuite", {"name": file, **_counts(results)})
        for each in results:
            place = {} if each.line is None else {"line": str(each.line)}
            names = {"classname": each.pipeline, "name": each.name, "file": file, **place}
            case = ET.SubElement(suite, "testcase", {**_clean(names), "time": f"{each.seconds:.3f}"})
            if each.verdict is Verdict.PASSED:
                continue
            tag = "error" if each.verdict is Verdict.ERROR else "failure"
            detail = ET.SubElement(case, tag, _clean({"message": each.message, "type": each.type}))
            detail.text = _clean({"text": "\n".join(map(str, each.failures)) or (each.error or "")})["text"]
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def markdown(report: Report) -> str:
    """Return Markdown, e.g. for a comment on a pull request or the summary of a CI job."""
    lines = [f"### {headline(report)}", "", "| test | pipeline | kind | result |", "|---|---|---|---|"]
    for each in report.results:
        found = each.verdict.value if each.verdict is Verdict.PASSED else f"**{each.verdict.value}**: {each.message}"
        rounds = f" ({each.rounds_passed} of {each.rounds} rounds)" if each.rounds > 1 else ""
        lines.append("| " + " | ".join(map(_cell, (each.name, each.pipeline, each.type, f"{found}{rounds}"))) + " |")
    return "\n".join([*lines, "", spending(report), ""])


def github(report: Report) -> str:
    """Return workflow commands that GitHub shows at the lines of the tests that did not pass."""
    lines = []
    for each in report.results:
        if each.verdict is not Verdict.PASSED:
            title = f"{each.name} ({each.verdict.value})"
            lines.append(annotation(each.message, file=each.file, line=each.line, title=title))
    return "\n".join([*lines, f"{headline(report)}. {spending(report)}", ""])


def headline(report: Report) -> str:
    """Say in one line what became of all tests."""
    parts = [f"{report.number(Verdict.PASSED)} passed"]
    parts += [f"{number} failed" for number in [report.number(Verdict.FAILED)] if number]
    parts += [f"{number} could not run" for number in [report.number(Verdict.ERROR)] if number]
    return f"{', '.join(parts)} in {report.seconds:.1f} s"


def spending(report: Report) -> str:
    """Say where the answers came from, and what they cost."""
    journal = f", {report.from_journal} from the journal" if report.from_journal else ""
    calls = "1 call" if report.calls == 1 else f"{report.calls} calls"
    return f"{calls} to models, {money(report.cost)}; {report.replayed} answers replayed{journal}."


TEXTS: Mapping[str, Callable[[Report], str]] = {
    "json": lambda report: json.dumps(as_json(report), indent=2, ensure_ascii=False) + "\n",
    "junit": junit,
    "markdown": markdown,
    "github": github,
}
"""The forms by their names."""
BY_ENDING = {".xml": "junit", ".json": "json", ".md": "markdown"}
"""The form of a report file by the ending of its name."""


def _counts(results: Sequence[Result], seconds: float | None = None) -> dict[str, str]:
    verdicts = [each.verdict for each in results]
    took = sum(each.seconds for each in results) if seconds is None else seconds
    return {
        "tests": str(len(verdicts)),
        "failures": str(verdicts.count(Verdict.FAILED)),
        "errors": str(verdicts.count(Verdict.ERROR)),
        "time": f"{took:.3f}",
    }


def _clean(texts: Mapping[str, str]) -> dict[str, str]:
    return {name: text.encode("utf-8", "replace").decode().translate(_CONTROL) for name, text in texts.items()}


def _cell(text: str) -> str:
    return " ".join(text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").split())
