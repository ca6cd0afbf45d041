"""Tests the wheel that users install: in an environment of its own, without the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from loom_dev import wheels
from support.documents import ROOT

BLOCKED = """
import os, sys
for name in ("fcntl", "resource", "termios"):
    sys.modules[name] = None
for name in ("O_NOFOLLOW", "O_NONBLOCK", "fork", "fchmod", "killpg", "sysconf"):
    delattr(os, name)
import asyncio.unix_events
asyncio.SelectorEventLoop.add_signal_handler = asyncio.AbstractEventLoop.add_signal_handler
from types import SimpleNamespace
from loom.cli.app import main
from loom.cli.commands import follow
from loom_common.service import entry
follow.sys = entry.sys = SimpleNamespace(**{**vars(sys), "platform": "win32"})
main(["run", "pipeline.yaml"])
"""
"""Runs a pipeline where there is nothing of POSIX, as on Windows."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Provide the wheel of this checkout."""
    return wheels.build(ROOT, tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory):
    """Provide a new environment with the wheel. Its dependencies are those of this environment, whose packages of the
    checkout are not found from there: no `.pth` file of a folder is read that a `.pth` file names."""
    folder = tmp_path_factory.mktemp("fresh") / "venv"
    uv = Path(sys.executable).with_name("uv")
    python = folder / "bin/python"
    subprocess.run([uv, "venv", "--quiet", "--offline", "--python", sys.executable, folder], check=True)
    subprocess.run([uv, "pip", "install", "--quiet", "--offline", "--no-deps", "--python", python, wheel], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return folder


def ran(environment, cwd, *arguments):
    return subprocess.run(
        [environment / "bin/loom", *arguments],
        cwd=cwd,
        env={"PATH": os.environ["PATH"], "HOME": str(cwd), "COLUMNS": "120"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_wheel_is_complete_and_has_the_same_bytes_when_it_is_built_again(wheel, tmp_path):
    assert wheels.mistakes(wheel) == []
    assert wheels.build(ROOT, tmp_path).read_bytes() == wheel.read_bytes()


def test_what_is_wrong_with_a_wheel_is_said(wheel, tmp_path):
    spoilt = tmp_path / wheel.name
    with zipfile.ZipFile(wheel) as good, zipfile.ZipFile(spoilt, "w") as bad:
        for name in good.namelist():
            content = good.read(name)
            if name.endswith("METADATA"):
                content = content.replace(b"Requires-Python: >=3.11", b"Requires-Python: new\nRequires-Dist: loom-ai")
            if name != "loom_api/__init__.py":
                bad.writestr(name, content)
        bad.writestr("loom/.loom/loom.db", b"")
    said = wheels.mistakes(spoilt)
    assert "it holds loom/.loom/loom.db" in said
    assert "it lacks loom_api/__init__.py" in said
    assert "it needs loom-ai, which on a package index is somebody else's" in said
    assert any("requires-python" in each for each in said)


def test_the_demo_runs_from_the_wheel_without_the_checkout(environment, tmp_path):
    done = ran(environment, tmp_path, "demo")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("succeeded  customer_sentiment")
    assert (tmp_path / "loom-demo/results/sentiment_scores.csv").is_file()
    assert ran(environment, tmp_path / "loom-demo/data", "status").stdout.startswith("succeeded")
    code = "import loom, loom_api; print(loom.__version__, loom.__file__, loom_api.__file__)"
    told = subprocess.run([environment / "bin/python", "-c", code], capture_output=True, text=True, check=True)
    version, *files = told.stdout.split()
    assert wheels_version() == version
    assert all(Path(each).is_relative_to(environment) for each in files)
    assert ran(environment, tmp_path, "--version").stdout.startswith(f"loom {version} ")


def wheels_version():
    """Return the version in the first heading of the changelog that is one."""
    lines = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").splitlines()
    return next(line.split("[", 1)[1].split("]", 1)[0] for line in lines if line.startswith("## [") and "." in line)


def test_a_pipeline_runs_where_there_is_nothing_of_posix(tmp_path):
    (tmp_path / "in.csv").write_text("id,n\n1,1\n2,2\n")
    (tmp_path / "pipeline.yaml").write_text(
        "name: p\nextract: {source: in.csv, key: id}\ntransform: {type: passthrough}\nload: {destination: out.jsonl}\n"
    )
    done = subprocess.run([sys.executable, "-c", BLOCKED], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 2
