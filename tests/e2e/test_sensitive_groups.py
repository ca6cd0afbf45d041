"""Plants values in sensitive fields of records that steps group and resolve: in no table or file are they in clear,
also while the members of groups wait."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from support.all_written import everything

KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
PLANTED = "pl4nted"
PEOPLE = [
    {"id": f"p{at}", "town": town, "email": f"{name}.pl4nted@example.org"}
    for at, (town, name) in enumerate([("Rome", "ada"), ("Oxford", "bea"), ("Rome", "ada"), ("Rome", "eve")])
]
GROUP = {
    "name": "by_town", "type": "group", "by": "town",
    "fields": {"people": "count", "emails": {"list": "email"}, "email": {"first": "email"}},
}  # fmt: skip
RESOLVE = {
    "name": "who", "type": "resolve", "block": "town", "compare": "email", "similarity": 0.95,
    "fields": {"id": {"first": "id"}, "email": {"first": "email"}, "people": "count"},
}  # fmt: skip
CODE = """
import pathlib

def told(record):
    if not pathlib.Path("mended").exists():
        raise ValueError(f"cannot send to {record['email']}")
    return {"length": len(record["email"])}
"""


def write(folder: Path, step: dict[str, object], needs: str) -> None:
    (folder / "loom.yaml").write_text("encryption: {key: '${env:PEOPLE_KEY}'}\n", encoding="utf-8")
    (folder / "code.py").write_text(CODE, encoding="utf-8")
    lines = [json.dumps(each) for each in PEOPLE]
    (folder / "people.jsonl").write_text("\n".join([*lines, ""]), encoding="utf-8")
    told = {"name": "told", "type": "python", "function": "code:told", "needs": needs, "on_failure": "abort"}
    definition = {
        "name": "people",
        "sensitive": ["email", "emails"],
        "extract": {"source": "people.jsonl", "key": "id", "batch_size": 2},
        "transform": {"steps": [step, told]},
        "load": {"destination": "out.jsonl"},
    }
    (folder / "people.yaml").write_text(json.dumps(definition), encoding="utf-8")


def members(folder: Path) -> list[str]:
    with closing(sqlite3.connect(folder / ".loom" / "journal.db")) as database:
        return [content for (content,) in database.execute("SELECT content FROM group_members")]


@pytest.mark.parametrize(
    ("step", "needs", "expected"),
    [
        (GROUP, "by_town", [("Oxford", 1, "bea.pl4nted@example.org"), ("Rome", 3, "ada.pl4nted@example.org")]),
        (RESOLVE, "who", [("Oxford", 1, "bea.pl4nted@example.org"), ("Rome", 1, "eve.pl4nted@example.org"),
                          ("Rome", 2, "ada.pl4nted@example.org")]),
    ],
)  # fmt: skip
def test_members_of_groups_are_sealed_as_they_wait_and_opened_as_they_are_read(
    loom, tmp_path, monkeypatch, caplog, step, needs, expected
):
    monkeypatch.setenv("PEOPLE_KEY", KEY)
    write(tmp_path, step, needs)
    assert loom("validate", "people.yaml").code == 0
    failed = loom("run", "people.yaml", "--format", "json")
    assert failed.code == 1
    assert len(members(tmp_path)) == len(PEOPLE)
    written = everything(tmp_path, [failed.out, failed.err], caplog.text, but=("people.jsonl",))
    assert [place for place, content in written if PLANTED.encode() in content] == []
    (tmp_path / "mended").touch()
    report = loom("resume", failed.report["run_id"], "--format", "json").report
    assert report["status"] == "succeeded", report
    rows = map(json.loads, (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines())
    assert sorted((row["town"], row["people"], row["email"]) for row in rows) == expected
