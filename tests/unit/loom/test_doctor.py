"""Tests `loom doctor` and `loom demo` in a project of a test."""

from __future__ import annotations

import json
import sqlite3

import pytest

from loom.cli.app import main
from loom_common import extras


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loom.yaml").write_text("mode: embedded\n")
    return tmp_path


def doctor(capsys, *arguments):
    with pytest.raises(SystemExit) as exited:
        main(["doctor", *arguments])
    return exited.value.code or 0, capsys.readouterr().out


def found(capsys):
    code, out = doctor(capsys, "--format", "json")
    return code, {each["what"]: each for each in json.loads(out)}


def test_an_installation_and_a_project_in_order(project, capsys):
    code, told = found(capsys)
    assert code == 0
    assert {told[what]["status"] for what in ("loom", "python", "project", "state", "pipelines")} == {"ok"}
    assert told["state"]["detail"].endswith("loom.db: not there yet; the first run makes it")
    assert told["loom"]["detail"].startswith("0.")


def test_an_extra_that_is_missing_is_told_with_the_command_that_brings_it_and_is_no_mistake(
    project, capsys, monkeypatch
):
    monkeypatch.setattr(extras, "missing", lambda name: ["pyarrow>=20"] if name == "arrow" else [])
    code, told = found(capsys)
    assert code == 0
    assert told["extra arrow"]["status"] == "missing"
    assert told["extra arrow"]["remedy"] == "make extras EXTRAS=arrow"
    _, table = doctor(capsys)
    assert "Parquet and Arrow files: not installed" in table
    assert "-> make extras EXTRAS=arrow" in table


def test_without_a_loom_yaml_the_folder_is_the_project_and_that_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code, told = found(capsys)
    assert code == 0
    assert told["project"]["status"] == "missing"
    assert "loom init NAME" in told["project"]["remedy"]


def test_what_stands_in_the_way_ends_with_1(project, capsys):
    (project / "broken.yaml").write_text("name: broken\nextract: {source: a.csv}\ntransfrom: {}\n")
    (project / "asking.yaml").write_text(
        "name: asking\nextract: {source: a.csv}\nload: {destination: b.csv}\n"
        "transform: {type: ai, model: 'ours:m', prompt: '{{ input.text }}', output: {mood: string}}\n"
        "providers: {ours: {base_url: 'http://127.0.0.1:9/v1'}}\n"
    )
    (project / ".loom").mkdir()
    (project / ".loom/loom.db").write_text("this is no database" * 100)
    code, told = found(capsys)
    assert code == 1
    assert told["pipelines"]["remedy"] == "loom validate broken.yaml"
    assert "127.0.0.1:9" in told["model"]["detail"]
    assert [told[what]["status"] for what in ("pipelines", "model", "state")] == ["wrong"] * 3


def test_an_old_schema_of_the_projects_own_file_is_upgraded_by_the_next_run(project, capsys):
    (project / ".loom").mkdir()
    with sqlite3.connect(project / ".loom/loom.db") as state:
        state.execute("CREATE TABLE alembic_version (version_num TEXT)")
        state.execute("INSERT INTO alembic_version VALUES ('0001')")
    state.close()
    code, told = found(capsys)
    assert code == 0
    assert told["state"]["detail"].endswith("has an older schema; the next run upgrades it")


def test_a_broker_that_is_not_there_is_told(project, capsys, monkeypatch):
    (project / "loom.yaml").write_text("mode: distributed\nbus: {url: 'amqp://loom:${SECRET}@127.0.0.1:9/'}\n")
    monkeypatch.setenv("SECRET", "hunter2")
    code, told = found(capsys)
    assert code == 1
    assert told["cluster"]["status"] == "wrong"
    assert "hunter2" not in json.dumps(told)


def test_the_demo_overwrites_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("mine")
    with pytest.raises(SystemExit) as exited:
        main(["demo", "mine"])
    assert exited.value.code == 2
    assert "mine exists and is something else; nothing was written." in capsys.readouterr().err
    assert [each.name for each in (tmp_path / "mine").iterdir()] == ["notes.txt"]
