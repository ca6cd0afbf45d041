"""Tests what is known of extras: those that the packages declare, what is missing of them, and how they are had."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from loom_common import extras
from support.documents import ROOT


def declared():
    files = [*ROOT.glob("libs/*/pyproject.toml"), *ROOT.glob("services/*/pyproject.toml")]
    projects = [tomllib.loads(file.read_text(encoding="utf-8"))["project"] for file in files]
    return {name for project in projects for name in project.get("optional-dependencies", {})}


def test_every_extra_has_a_purpose_and_packages():
    assert set(extras.PURPOSES) == declared()
    for name in extras.PURPOSES:
        assert extras.requirements(name), name


def test_the_packages_of_an_extra_are_those_that_only_it_needs():
    assert extras.requirements("excel") == ["python-calamine>=0.4"]
    assert {line.split(">")[0] for line in extras.requirements("serve")} >= {"fastapi", "uvicorn"}


@pytest.mark.parametrize(
    ("mark", "command"),
    [
        (None, "pip install 'no-such-package>=1'"),
        ("pipx_metadata.json", "pipx inject loom-pipelines 'no-such-package>=1'"),
        ("uv-receipt.toml", "uv pip install --python {python} 'no-such-package>=1'"),
    ],
)
def test_an_extra_is_installed_as_loom_was(mark, command, tmp_path, monkeypatch):
    if mark is not None:
        (tmp_path / mark).touch()
    monkeypatch.setattr(extras, "in_checkout", lambda: False)
    monkeypatch.setattr(extras, "_required", lambda part, extra: ["no-such-package>=1"] if part == "loom-ai" else [])
    monkeypatch.setattr("sys.prefix", str(tmp_path))
    monkeypatch.setattr("sys.executable", str(Path("/venv/bin/python")))
    assert extras.missing("providers") == ["no-such-package>=1"]
    assert extras.command("providers", "arbiter") == command.format(python="/venv/bin/python")
    assert extras.remedy("providers") == f"`{extras.command('providers')}`"
