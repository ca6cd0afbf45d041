"""Tests what it costs to touch Loom: an import, a glance at the help."""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys

import pytest

from loom_dev.waiting import patience

IMPORT_WITHOUT_NETWORK = """
import sys

def refuse(event, arguments):
    if event.startswith("socket."):
        raise AssertionError(f"{event} {arguments}")

sys.addaudithook(refuse)

import importlib, pkgutil
import loom

for found in pkgutil.walk_packages(loom.__path__, "loom."):
    if found.name != "loom.__main__" and ".templates." not in found.name:
        importlib.import_module(found.name)
print("imported", loom.Loom.__name__)
"""
"""Every module of the package, with any use of a socket - opening one, looking up a name - an error."""

HEAVY = ("aio_pika", "aiohttp", "asyncpg", "jinja2", "litellm", "pydantic", "sqlalchemy", "structlog")
HELP_SECONDS = 1.0
"""Half a second is promised. Twice that is a change for the worse on any machine, not a busy neighbour."""


def test_importing_loom_touches_no_network():
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_WITHOUT_NETWORK],
        capture_output=True,
        text=True,
        check=False,
        timeout=patience(60),
    )
    assert (done.returncode, done.stdout) == (0, "imported Loom\n"), done.stderr


def test_the_help_is_there_at_once():
    def once() -> float:
        """Return the seconds of processor time, which another process does not take away."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([sys.executable, "-m", "loom", "--help"], capture_output=True, text=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert "quarantine" in done.stdout
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    median = statistics.median(once() for _ in range(5))
    print(f"loom --help: {median:.2f} s")
    assert median < HELP_SECONDS


def test_the_light_commands_import_no_heavy_library():
    """Drivers, clients and validators must wait until a run needs them."""
    code = (
        "import sys; from loom.cli.root_command import application; application(); "
        f"print(*sorted(set(sys.modules) & set({HEAVY})))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


FOREIGN = {"logfire", "opentelemetry", "requests", "litellm", "pydantic_ai", "arbiter_ai"}
WHAT_IS_IMPORTED = """
import sys
from loom.cli.app import main

sys.argv = {argv!r}
try:
    main()
finally:
    print(*sorted({{name.partition(".")[0] for name in sys.modules}} & {foreign}), file=sys.stderr)
"""


@pytest.mark.parametrize("argv", ["--help", "validate pipeline.yaml", "list", "status run_1", "run pipeline.yaml"])
def test_no_plugin_that_another_package_brings_is_loaded_into_a_command(tmp_path, argv):
    """Packages may register plugins with pydantic, which loads them, and all that they import, with its first model."""
    (tmp_path / "in.csv").write_text("id,n\n1,1\n")
    (tmp_path / "pipeline.yaml").write_text(
        "name: p\nextract: {source: in.csv, key: id}\ntransform: {type: passthrough}\nload: {destination: out.jsonl}\n"
    )
    code = WHAT_IS_IMPORTED.format(argv=["loom", *argv.split()], foreign=FOREIGN)
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1] == ""


def test_a_program_that_imports_loom_keeps_its_plugins():
    code = "import loom, os; loom.Loom; print(os.environ.get('PYDANTIC_DISABLE_PLUGINS'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "None\n"
