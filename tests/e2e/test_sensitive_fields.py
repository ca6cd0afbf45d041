"""Plants values in sensitive fields, and looks for them in every file, table, output, log and page: they are nowhere
but in the source and in the destination."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.all_written import everything
from support.simulated_model import served_in_a_thread

EMAIL, STREET, SECOND = "ada.pl4nted@example.org", "17 Pl4nted Lane", "bea.pl4nted@example.net"
OTHER = "eve.rep4ired@example.com"
PLANTED = ("pl4nted", "rep4ired")
IN_CLEAR = ("people.jsonl", "people.out.jsonl", "people.out.sample.jsonl", "touched.out.jsonl")
KEY = base64.b64encode(bytes(range(32))).decode()
CODE = """
def touched(record):
    if record["id"] == 3:
        raise ValueError(f"cannot send to {record['email']!r}, who lives at {record['address']['street'].upper()}")
    return {"email": record["email"], "note": f"wrote to {record['email']}", "length": len(record["email"])}

def short(output, record):
    return (0.0, f"{record['email']} is too long") if output["length"] > 25 else 1.0
"""
PEOPLE = [
    {"id": 1, "email": EMAIL, "address": {"street": STREET, "town": "Oxford"}, "text": "fine"},
    {"id": 2, "email": SECOND, "address": {"street": STREET, "town": "Rome"}, "text": "bad"},
    {"id": 3, "email": SECOND, "address": {"street": STREET, "town": "Rome"}, "text": "worse"},
    {"id": 4, "email": "x" * 30 + EMAIL, "address": {"street": "", "town": ""}, "text": "no"},
    {"id": 5, "email": "not-an-address-pl4nted", "address": {"street": STREET, "town": ""}, "text": "no"},
]


def pipeline(name: str, **sections: Any) -> dict[str, Any]:
    return {
        "name": name,
        "sensitive": ["email", "address.street"],
        "extract": {
            "source": "people.jsonl",
            "key": "id",
            "batch_size": 2,
            "quality_checks": [{"check": "regex", "column": "email", "pattern": "@"}],
        },
        "load": {"destination": f"{name}.out.jsonl", "include": ["email", "address"]},
        **sections,
    }


@pytest.fixture
def people(tmp_path, monkeypatch, clean_environ) -> Iterator[Path]:
    """Provide a folder with two pipelines over people: one asks a model and a judge, one runs the user's code."""
    with served_in_a_thread() as model:
        (tmp_path / "loom.yaml").write_text("encryption: {key: '${env:PEOPLE_KEY}'}\n")
        monkeypatch.setenv("PEOPLE_KEY", KEY)
        (tmp_path / "code.py").write_text(CODE)
        lines = [json.dumps(each) for each in PEOPLE]
        (tmp_path / "people.jsonl").write_text("\n".join([*lines, '{"id": 6, "email": "cut.pl4nted@exam']) + "\n")
        judge = {"type": "custom_criteria", "name": "kind", "field": "mood", "criteria": ["Kind"], "threshold": 0.6}
        asked = {
            "type": "ai", "model": "gpt-4o-mini", "base_url": model.base_url,
            "prompt": "How is {{ input.email }} of {{ input.address.street }}, who says {{ input.text }}?",
            "output": {"mood": {"enum": ["good", "bad"]}},
        }  # fmt: skip
        evaluate = {"model": "gpt-4o-mini", "base_url": model.base_url, "evaluators": [judge]}
        told = pipeline("people", transform=asked, evaluate=evaluate, monitoring={"cost_budget": 5})
        (tmp_path / "people.yaml").write_text(json.dumps(told))
        rule = {"type": "python", "name": "short", "function": "code:short", "threshold": 0.5}
        code = {"type": "python", "function": "code:touched"}
        touched = pipeline("touched", transform=code, evaluate={"evaluators": [rule]})
        touched["load"]["include"] = ["address"]
        (tmp_path / "touched.yaml").write_text(json.dumps(touched))
        yield tmp_path


def test_sensitive_values_are_nowhere_but_in_source_and_destination(loom, people, caplog):
    caplog.set_level(logging.ERROR)
    said: list[str] = []

    def typed(*arguments: str) -> Any:
        ended = loom(*arguments)
        said.extend((ended.out, ended.err))
        return ended

    for name in ("people", "touched"):
        assert (checked := typed("validate", f"{name}.yaml")).code == 0, checked.out
        report = json.loads(typed("run", f"{name}.yaml", "--verbose", "--format", "json").out)
        assert report["records"]["loaded"], report
        run_id = report["run_id"]
        typed("status", run_id)
        typed("quarantine", "list", "--run-id", run_id)
        kept = json.loads(typed("quarantine", "list", "--run-id", run_id, "--format", "json").out)
        assert {each["record_data"].get("email", "***") for each in kept} == {"***"}
        for each in kept[:2]:
            typed("quarantine", "show", each["record_id"], "--run-id", run_id)
    typed("quarantine", "export", "-", "--run-id", run_id)
    revealed = loom("quarantine", "show", "3", "--run-id", run_id, "--reveal", "--format", "json")
    assert json.loads(revealed.out)["input"] == PEOPLE[2]
    assert typed("run", "people.yaml", "--sample", "2", "--verbose").code == 0
    retried = typed("quarantine", "retry", run_id, "--record-ids", "5", "--edit", f"email={OTHER}", "--verbose")
    assert retried.code == 0, retried.err

    loaded = {row["id"]: row for row in map(json.loads, (people / "touched.out.jsonl").read_text().splitlines())}
    assert loaded[1] == {
        "id": 1,
        "address": PEOPLE[0]["address"],
        "email": EMAIL,
        "note": f"wrote to {EMAIL}",
        "length": 23,
    }
    assert loaded[5]["email"] == OTHER
    written = everything(people, said, caplog.text, but=IN_CLEAR)
    found = {name for name, content in written for each in PLANTED if each.encode() in content.lower()}
    assert found == set()


def test_records_of_a_run_are_judged_compared_and_tried_again_while_the_key_is_changed(
    loom, people, monkeypatch, caplog
):
    said: list[str] = []

    def typed(*arguments: str) -> Any:
        ended = loom(*arguments, "--format", "json")
        said.extend((ended.out, ended.err))
        assert ended.code in (0, 5), ended.err
        return json.loads(ended.out)

    first = typed("run", "people.yaml")
    assert first["calls"]["made"] > 0
    (people / "loom.yaml").write_text("encryption: {keys: ['${NEW_KEY}', '${PEOPLE_KEY}']}\n")
    monkeypatch.setenv("NEW_KEY", base64.b64encode(bytes(range(32, 64))).decode())
    second = typed("run", "people.yaml")
    assert second["calls"]["made"] == 0
    outputs = typed("diff", first["run_id"], second["run_id"])["outputs"]
    assert outputs["both"] == outputs["equal"] > 0
    rescored = typed("evaluate", first["run_id"], "--threshold", "kind=0.999", "--budget", "1")
    assert rescored["cost"] == 0
    assert sum(rescored["verdicts"].values()) == first["records"]["passed"] + first["records"]["rejected"]
    (people / "other.txt").write_text("Of {{ input.email }}, good or bad: {{ input.text }}")
    tried = typed("prompt", "try", first["run_id"], "other.txt", "--sample", "2", "--yes")
    assert (tried["records"], tried["calls_made"] > 0) == (2, True)
    typed("label", first["run_id"], "--count", "2")

    (people / "loom.yaml").write_text("encryption: {key: '${NEW_KEY}'}\n")
    retried = loom("quarantine", "retry", first["run_id"])
    said.extend((retried.out, retried.err))
    assert retried.code == 1
    assert "its key (" in retried.out
    assert "is not among those of LOOM_ENCRYPTION_KEYS here" in retried.out
    found = {
        name
        for name, content in everything(people, said, caplog.text, but=IN_CLEAR)
        for each in PLANTED
        if each.encode() in content.lower()
    }
    assert found == set()
