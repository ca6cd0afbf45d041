"""Tests docs/scoring-again.md: its file, its commands, and what they print."""

from __future__ import annotations

import re
import shlex
import shutil

from support.command import loom
from support.documents import ROOT, of_page

EXAMPLE = "examples/customer_sentiment"
PAGE = list(of_page(ROOT / "docs" / "scoring-again.md"))
NAMED = "run_243beb9af693"


def plain(line: str) -> str:
    """Return a line without how far its columns stand apart."""
    return " ".join(line.split())


async def test_the_commands_of_the_page_do_what_it_shows(tmp_path):
    shutil.copytree(ROOT / EXAMPLE, tmp_path / EXAMPLE, ignore=shutil.ignore_patterns("results", ".loom"))
    (tmp_path / "loom.yaml").touch()
    (file,) = (each.body for each in PAGE if each.kind == "yaml")
    (tmp_path / "other.yaml").write_text(file.replace("source: data/", f"source: {EXAMPLE}/data/"), encoding="utf-8")
    (shown,) = (each.body for each in PAGE if each.kind == "" and each.body.startswith(NAMED))
    commands = [line for each in PAGE if each.kind == "bash" for line in each.body.splitlines()]
    commands = [command for command in commands if not command.startswith("loom prompt")]  # this one has no prompt
    ran: list[str] = []
    outputs = {}
    for command in commands:
        typed = re.sub(r"run_[0-9a-f]{12}", "".join(ran), command)  # another run of it would take long
        ended = await loom(tmp_path, *shlex.split(typed)[1:])
        assert ended.code == 0, f"{command}: {ended.err}"
        outputs[command] = re.sub(r"run_[0-9a-f]{12}", NAMED, ended.out)
        if command.startswith("loom run"):
            ran.append(await newest(tmp_path))
    (scored,) = (out for command, out in outputs.items() if command.endswith("--with other.yaml"))
    told = {plain(line) for line in scored.splitlines()}
    for line in shown.splitlines():
        assert plain(line) in told or not line, f"{line!r} is not in\n{scored}"
    (applied,) = (out for command, out in outputs.items() if command.endswith("--apply"))
    assert "Applied: 105 records loaded, 0 records withdrawn." in applied


async def newest(folder) -> str:
    return (await loom(folder, "history", "--format", "json")).report[0]["run_id"]
