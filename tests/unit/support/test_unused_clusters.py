"""Tests that the services of a cluster end with the tests that use it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from support import cluster as clusters
from support.cluster import Cluster, end_unused


@pytest.mark.parametrize(("next_test", "goes_on"), [("e2e/test_b.py", True), ("faults/test_a.py", False), (None, True)])
def test_services_end_where_the_next_test_is_in_another_folder(tmp_path, monkeypatch, next_test, goes_on):
    cluster = Cluster(tmp_path, bus_url="", state_url="")
    command = [sys.executable, "-c", "input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        monkeypatch.setattr(cluster, "_processes", {"loader": process})
        monkeypatch.setattr(clusters, "_RUNNING", [cluster])
        after = SimpleNamespace(path=Path("tests", next_test)) if next_test else None
        end_unused(SimpleNamespace(path=Path("tests/e2e/test_a.py")), after)
        assert (process.poll() is None) is goes_on
        process.kill()
