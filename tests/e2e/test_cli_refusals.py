"""What `loom` refuses to do, and how it says so: exit code 2, one message on stderr, nothing on stdout."""

import platform
from importlib.metadata import version

import pytest

PIPELINE = """\
name: numbers
params: {least: 0}
extract: {source: numbers.csv, key: id}
transform: {type: passthrough}
load: {destination: out.jsonl}
"""


@pytest.fixture
def loom(loom, tmp_path):
    """Runs `loom ...` in a project with one pipeline."""
    (tmp_path / "numbers.csv").write_text("id,number\na,1\n")
    (tmp_path / "numbers.yaml").write_text(PIPELINE)
    return loom


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "number"), "Did you mean 'numbers'?"),
        (("run", "absent.yaml"), "no such file"),
        (("run", "numbers.yaml", "--param", "leest=3"), "found the parameter 'leest'; expected one of least"),
        (("run", "numbers.yaml", "--param", "least=x"), "params.least: found 'x'"),
        (("run", "numbers.yaml", "--param", "least"), "not KEY=VALUE"),
        (("run", "numbers.yaml", "--sample", "0"), "--sample"),
        (("run", "numbers.yaml", "--cluster"), "make up"),
        (("run", "numbers.yaml", "--config", "absent.yaml"), "absent.yaml"),
        (("status", "run_0123456789ab"), "no run run_0123456789ab"),
        (("resume", "run_0123456789ab"), "no run run_0123456789ab"),
        (("runn",), "runn"),
    ],
)
def test_bad_usage_and_configuration_say_why_and_exit_with_2(loom, arguments, words):
    told = loom(*arguments)
    assert (told.code, told.out) == (2, "")
    assert words in told.err
    assert "Traceback" not in told.err


def test_a_missing_source_stops_a_run_before_it_begins(loom, tmp_path):
    (tmp_path / "numbers.csv").unlink()
    told = loom("run", "numbers.yaml")
    assert (told.code, told.out) == (2, "")
    assert told.err.startswith("error: ")
    assert "numbers.csv" in told.err
    history = loom("history", "numbers", "--format", "json")
    assert (history.code, history.report) == (0, [])
    told = loom("status")
    assert (told.code, told.out) == (2, "")
    assert f"There is no run yet in the state file {tmp_path}/.loom/loom.db. `loom run FILE` starts one." in told.err


def test_a_file_with_a_mistake_is_refused_before_there_is_any_run_state(loom, tmp_path):
    (tmp_path / "numbers.yaml").write_text(PIPELINE.replace("passthrough", "nothing"))
    assert loom("run", "numbers.yaml").code == 2
    assert not (tmp_path / ".loom").exists()


def test_the_version_is_shown(loom):
    told = loom("--version")
    assert (told.code, told.out) == (0, f"loom {version('loom-pipelines')} (Python {platform.python_version()})\n")


def test_verbose_shows_where_an_error_comes_from(loom):
    assert "Traceback" in loom("run", "absent.yaml", "--verbose").err


def test_an_error_nobody_foresaw_is_told_without_a_traceback(loom, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("boom")

    monkeypatch.setattr("loom.project.catalog.find", broken)
    told = loom("run", "numbers")
    assert (told.code, told.out) == (1, "")
    assert told.err == "error: unexpected RuntimeError: boom. Run it again with --verbose to see where.\n"
