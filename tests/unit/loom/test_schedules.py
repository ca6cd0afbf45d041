"""Tests `loom schedule`: what a cron expression means, and that each form of it is valid where it is used."""

from __future__ import annotations

import ast
import configparser
import datetime as dt
import json
import shutil
import subprocess
import sys
from io import StringIO
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from ruamel.yaml import YAML

from loom.cli.app import main
from loom.scheduling import forms
from loom.scheduling.cron import Cron
from loom.scheduling.forms import Scheduled
from loom_common.errors import ConfigurationError
from loom_dev.waiting import patience
from support.manifests import VERSIONS, validate

FRIDAY = dt.datetime(2026, 11, 27, 10, 5, tzinfo=dt.UTC)
PIPELINE = """
name: re_views
params: {since: {type: date, default: 2024-01-01}}
extract: {source: in.csv}
transform: {type: passthrough}
load: {destination: out.csv}
"""


def scheduled(cron="0 6 * * mon-fri", **changed):
    given = {
        "pipeline": "re_views", "cron": Cron.of(cron), "timezone": None, "image": "loom:1",
        "command": (sys.executable, "-m", "loom", "run", "a b/%d $x.yaml"),
        "arguments": ("--param", 'a="1"'), "project": "/srv/my project 100%",
    }  # fmt: skip
    return Scheduled(**{**given, **changed})


@pytest.mark.parametrize(
    ("cron", "first", "second"),
    [
        ("0 6 * * *", "2026-11-28 06:00", "2026-11-29 06:00"),
        ("*/30 6-8 * * mon", "2026-11-30 06:00", "2026-11-30 06:30"),
        ("5,6 10 27 nov *", "2026-11-27 10:06", "2027-11-27 10:05"),
        ("0 0 1 * sun", "2026-11-29 00:00", "2026-12-01 00:00"),
        ("0 0 */2 * sun", "2026-11-29 00:00", "2026-12-13 00:00"),
        ("0 0 29 2 *", "2028-02-29 00:00", "2032-02-29 00:00"),
        ("0 0 * * 5-7", "2026-11-28 00:00", "2026-11-29 00:00"),
        ("@monthly", "2026-12-01 00:00", "2027-01-01 00:00"),
    ],
)
def test_a_cron_expression_comes_when_cron_says(cron, first, second):
    assert [f"{each:%Y-%m-%d %H:%M}" for each in islice(Cron.of(cron).after(FRIDAY), 2)] == [first, second]


def test_times_are_those_of_the_zone():
    (first,) = islice(Cron.of("0 11 * * *").after(FRIDAY, ZoneInfo("Europe/Berlin")), 1)
    assert first.astimezone(dt.UTC) == dt.datetime(2026, 11, 28, 10, 0, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("cron", "words"),
    [
        ("0 6 * *", "it has 4 fields. Expected are five, minute, hour"),
        ("60 6 * * *", "minute: found '60', expected a number from 0 to 59"),
        ("0 6 * * funday", "day of the week: found 'funday', expected a number from 0 to 7, or sun to sat"),
        ("0 6 * 13 *", "month: found '13', expected a number from 1 to 12, or jan to dec"),
        ("*/0 6 * * *", "a step that is a whole number above 0"),
        ("0 9-6 * * *", "hour: found '9-6', expected a range"),
        ("0 0 30 2 *", "never comes"),
        ("٣ 0 * * *", "minute: found '٣'"),
    ],
)
def test_what_is_no_cron_expression_is_told_by_its_field(cron, words):
    with pytest.raises(ConfigurationError) as refused:
        Cron.of(cron)
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("cron", "expressions"),
    [
        ("0 6 * * mon-fri", ["Mon,Tue,Wed,Thu,Fri *-*-* 06:00:00"]),
        ("*/30 * 1 2 *", ["*-02-01 *:00,30:00"]),
        ("0 0 1 * sun", ["*-*-01 00:00:00", "Sun *-*-* 00:00:00"]),
    ],
)
def test_systemd_is_told_the_same_times(cron, expressions):
    assert forms.calendar(Cron.of(cron)) == expressions


def test_the_units_are_read_by_systemd_as_they_are_meant(tmp_path):
    units = forms.systemd(scheduled(timezone="Europe/Berlin"))
    assert list(units) == ["loom-re-views.service", "loom-re-views.timer"]
    for name, text in units.items():
        (tmp_path / name).write_text(text)
        parsed = configparser.ConfigParser(strict=False, interpolation=None)
        parsed.optionxform = str
        parsed.read_string(text)
        assert {"Unit"} < set(parsed.sections())
    assert "WorkingDirectory=/srv/my project 100%%\n" in units["loom-re-views.service"]
    assert units["loom-re-views.service"].endswith('run "a b/%%d $$x.yaml"\n')
    if (program := shutil.which("systemd-analyze")) is None:
        return
    command = [program, "verify", "--man=no", *(str(tmp_path / name) for name in units)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=patience(30), check=False)
    assert not [line for line in done.stderr.splitlines() if "loom-re-views" in line]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_cron_job_is_valid_and_asks_the_cluster_by_name(version):
    manifest = YAML(typ="safe").load(StringIO(forms.kubernetes(scheduled())))
    validate(manifest, version)
    [container] = manifest["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert container["command"] == ["loom", "run", "re_views", "--param", 'a="1"', "--cluster"]
    assert (manifest["spec"]["timeZone"], manifest["spec"]["concurrencyPolicy"]) == ("Etc/UTC", "Forbid")


def test_the_dag_is_python_and_a_line_of_cron_escapes_what_cron_would_take():
    tree = ast.parse(forms.airflow(scheduled()))
    said = {word.arg: ast.literal_eval(word.value) for call in ast.walk(tree) if isinstance(call, ast.Call)
            for word in call.keywords if isinstance(word.value, ast.Constant)}  # fmt: skip
    assert (said["schedule"], said["cwd"], said["tz"]) == ("0 6 * * mon-fri", "/srv/my project 100%", "UTC")
    assert said["bash_command"].endswith("run 'a b/%d $x.yaml' ")
    line = forms.crontab(scheduled(timezone="Europe/Berlin"))
    assert line.startswith("CRON_TZ=Europe/Berlin\n0 6 * * mon-fri cd '/srv/my project 100\\%' && ")
    assert "%" not in line.replace(r"\%", "")


def test_the_command_names_what_was_asked_for_and_runs_in_the_project(tmp_path, monkeypatch, capsys):
    (tmp_path / "loom.yaml").write_text("targets: {prod: {}}\n")
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs/pipeline.yaml").write_text(PIPELINE)
    monkeypatch.chdir(tmp_path / "jobs")
    said = ("pipeline.yaml", "--cron", "@daily", "--target", "prod", "--param", "since=2026-01-01")
    with pytest.raises(SystemExit) as ended:
        main(["schedule", *said, "--format", "json"])
    told = json.loads(capsys.readouterr().out)
    assert ended.value.code == 0
    assert told["cron"].endswith("run jobs/pipeline.yaml --target prod --param since=2026-01-01\n")
    assert told["cron"].startswith(f"0 0 * * * cd {tmp_path} && ")
    assert len(told["next"]) == 3
    for wrong in (("--param", "sense=1"), ("--timezone", "Europe/Berlino")):
        with pytest.raises(SystemExit) as ended:
            main(["schedule", "pipeline.yaml", "--cron", "@daily", *wrong])
        assert ended.value.code == 2
        assert "Did you mean" in capsys.readouterr().err
