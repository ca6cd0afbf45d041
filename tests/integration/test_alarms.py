"""Tests the alarms of deploy/prometheus, by Prometheus's own judge, and what they name."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from ruamel.yaml import YAML

from loom_dev.programs import promtool
from loom_dev.waiting import patience

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "prometheus"
RULES, CASES = "loom.rules.yaml", ("loom.rules.test.yaml", "loom.costs.test.yaml")


def judged(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [*promtool(folder), "test", "rules", *(str(folder / cases) for cases in CASES)]
    return subprocess.run(command, capture_output=True, text=True, timeout=patience(60), check=False)


def alarms():
    groups = YAML(typ="safe").load((FOLDER / RULES).read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_each_alarm_rings_when_it_should_and_not_in_a_healthy_hour():
    done = judged(FOLDER)
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_alarm_that_is_deaf_would_be_noticed(tmp_path):
    shutil.copytree(FOLDER, tmp_path, dirs_exist_ok=True)
    rules = (FOLDER / RULES).read_text()
    (tmp_path / RULES).write_text(rules.replace("max by (upstream) (loom_breaker_open) > 0", "loom_breaker_open > 1"))
    assert judged(tmp_path).returncode != 0


def test_each_alarm_has_its_runbook_and_each_runbook_its_alarm():
    operations = (ROOT / "docs" / "operations.md").read_text()
    headings = re.findall(r"^### (.+)$", operations.partition("\n## Runbooks\n")[2], re.MULTILINE)
    runbooks = {f"docs/operations.md#{re.sub(r'[^a-z0-9 ]', '', each.lower()).replace(' ', '-')}" for each in headings}
    assert {each["annotations"]["runbook"] for each in alarms()} == runbooks


def test_each_alarm_asks_for_numbers_that_are_told():
    sources = [*(ROOT / "libs" / "loom_common" / "src").rglob("*.py"), *(ROOT / "services").rglob("*metrics.py")]
    told = {
        name.removesuffix("_total")
        for name in re.findall(r'"(loom_[a-z_]+)"', "".join(path.read_text() for path in sources))
    }
    asked = {
        re.sub(r"_(total|sum|count|bucket)$", "", name)
        for each in alarms()
        for name in re.findall(r"\bloom_[a-z_]+", each["expr"])
    }
    assert asked - told == set()


def test_each_alarm_is_tried():
    tried = re.findall(r"alertname: (\w+)\n\s+exp_alerts", "".join((FOLDER / cases).read_text() for cases in CASES))
    assert sorted(tried) == sorted(each["alert"] for each in alarms())
