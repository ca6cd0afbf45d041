"""Tests `loom-coordinator` without a cluster: what cannot be done is said in a line, and numbers are for people."""

import datetime as dt

import pytest

from loom_common.console import numbers as words
from loom_coordinator.admin.app import main


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Runs `loom-coordinator ...` in an empty folder; its exit code and what it said."""
    monkeypatch.chdir(tmp_path)

    def command(*arguments, **environ):
        for name, value in {"LOOM_BUS_URL": "memory://", "LOOM_STATE_URL": "sqlite:///missing.db", **environ}.items():
            if value is None:
                monkeypatch.delenv(name, raising=False)
            else:
                monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as exited:
            main(arguments)
        out, err = capsys.readouterr()
        return exited.value.code, out, err

    return command


NOWHERE = "postgresql://nobody:secret@127.0.0.1:1/x"
UNANSWERED = (
    "The database postgresql://127.0.0.1:1/x does not answer: the connection was refused, because nothing listens at "
    "127.0.0.1:1. See that the server runs there, and that the address, the user and the password are right in the "
    "setting that names it: LOOM_STATE_URL, or `storage` in loom.yaml."
)


@pytest.mark.parametrize(
    ("arguments", "environ", "code", "said"),
    [
        (("runs",), {"LOOM_STATE_URL": NOWHERE}, 1, UNANSWERED),
        (("status", "--format", "json"), {"LOOM_STATE_URL": NOWHERE}, 1, UNANSWERED),
        (("quarantine", "stats"), {"LOOM_STATE_URL": NOWHERE}, 1, UNANSWERED),
        (("db", "upgrade"), {"LOOM_STATE_URL": NOWHERE}, 1, UNANSWERED),
        (("runs",), {"LOOM_STATE_URL": "postgresql://nobody:secret@no-such-host.invalid/x"}, 1, "there is no host"),
        (("runs",), {}, 2, "There is no state database"),
        (("run", "\udcff"), {}, 2, "The argument '\\udcff' is not UTF-8."),
        (("runs",), {"LOOM_STATE_URL": "somewhere"}, 2, "LOOM_STATE_URL, expected sqlite"),
        (("dead", "list"), {}, 2, "LOOM_BUS_URL names no broker"),
        (("dead", "list"), {"LOOM_BUS_URL": "amqp://nobody:secret@127.0.0.1:1/"}, 1, "or `bus` in loom.yaml"),
        (("reconcile", "run_1", "--destination", "s3://key:secret@x"), {}, 2, "has no load ledger"),
        (("reconcile", "run_1", "--destination", "sqlite:///none.db?table=t"), {}, 2, "there is no such file"),
        (("reconcile", "run_1", "--destination", NOWHERE), {}, 1, "nothing listens at 127.0.0.1:1. See that"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(run, arguments, environ, code, said):
    ended, out, err = run(*arguments, **environ)
    assert (ended, out, err.count("\n")) == (code, "", 1), err
    assert err.startswith("error: ")
    assert said in err
    assert "secret" not in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("dead", "replay"), "Name the dead letters, or say --all."),
        (("dead", "replay", "abc", "--all"), "Name the dead letters, or say --all."),
        (("priority", "run_1", "11"), "Invalid value"),
        (("prefetch", "set", "coordinator", "4"), "Invalid value"),
        (("prefetch", "set", "loader", "0"), "Invalid value"),
        (("status", "--every", "often"), "'often' is no span of time"),
        (("scale", "advice", "run_1", "--within", "0s"), "'0s' is no span of time"),
        (("nonsense",), "No such command"),
    ],
)
def test_what_is_said_wrong_is_told(run, arguments, said):
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert said in err


def test_looking_makes_no_database(run, tmp_path):
    run("runs")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (words.span(0.0123), "12 ms"),
        (words.span(12.34), "12.3 s"),
        (words.span(245), "4 min 05 s"),
        (words.span(7380), "2 h 03 min"),
        (words.span(100_000), "1 d 03 h"),
        (words.rate(0), "0"),
        (words.rate(0.34), "0.3"),
        (words.rate(1234.5), "1,234"),
        (words.money(0.5), "$0.5000"),
        (words.money(1234.5), "$1,234.50"),
        (words.share(0.876), "88%"),
        (words.size(3 * 2**30), "3,072 MiB"),
        (words.short_moment(dt.datetime(2020, 1, 2, 3, 4, 5, tzinfo=dt.UTC)), "2020-01-02 03:04"),
    ],
)
def test_numbers_are_for_people(told, words):
    assert told == words


def left_by_make_up(folder):
    (folder / ".loom/cluster").mkdir(parents=True)
    names = ("BUS", "STATE", "JOURNAL", "PAYLOADS")
    urls = dict.fromkeys(names, NOWHERE) | {"BUS": "amqp://nobody:secret@127.0.0.1:1/"}
    (folder / ".loom/cluster/env").write_text("".join(f"LOOM_{name}_URL={urls[name]}\n" for name in names))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(("runs",), UNANSWERED), (("dead", "list"), "RabbitMQ at amqp://127.0.0.1:1/ cannot be reached")],
)
def test_the_cluster_that_make_up_started_is_found_from_every_folder_of_the_project(
    run, tmp_path, monkeypatch, arguments, said
):
    left_by_make_up(tmp_path)
    (tmp_path / "reviews").mkdir()
    monkeypatch.chdir(tmp_path / "reviews")
    ended, _, err = run(*arguments, LOOM_BUS_URL=None, LOOM_STATE_URL=None)
    assert ended == 1
    assert said in err


def test_addresses_of_the_environment_take_precedence_over_the_cluster_of_make_up(run, tmp_path):
    left_by_make_up(tmp_path)
    ended, _, err = run("runs", LOOM_STATE_URL="sqlite:///own.db")
    assert ended == 2
    assert "There is no state database sqlite:///own.db" in err
