"""Carries out the pages of `docs/how-to` whose blocks are files: what they write works, and prints what they show."""

from __future__ import annotations

import re
import shlex

import pytest

from loom.cli.app import main
from support.documents import ROOT, of_page

WHOLE = ("connector", "evaluator", "gate", "scorer")
"""The pages that have a pipeline with all that it needs. What the others show is typed and read by the tests of
documents."""


@pytest.mark.parametrize("page", WHOLE)
def test_what_a_page_writes_and_types_prints_what_it_shows(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    blocks = list(of_page(ROOT / f"docs/how-to/{page}.md"))
    for block in blocks:
        if (named := re.match(r"# ([\w.]+\.(csv|py|yaml))\n", block.body)) is not None:
            (tmp_path / named[1]).write_text(block.body[named.end() :])
    for block in blocks:
        for command in block.body.splitlines() if block.kind == "bash" else []:
            with pytest.raises(SystemExit) as ended:
                main(shlex.split(command)[1:])
            assert ended.value.code == 0, capsys.readouterr()
    out, err = capsys.readouterr()
    told = {" ".join(line.split()) for line in f"{out}\n{err}".splitlines()}
    (shown,) = [each.body for each in blocks if each.kind == ""]
    assert [line for line in shown.splitlines() if " ".join(line.split()) not in told] == [], out + err


def test_the_class_of_the_connector_page_reads_pages(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (code,) = [each.body for each in of_page(ROOT / "docs/how-to/connector.md") if each.body.startswith("# meter.py")]
    (tmp_path / "meter_of_a_page.py").write_text(code)
    (tmp_path / "pipeline.yaml").write_text(
        "name: cellar\nextract: {source: 'meter_of_a_page:Meter://cellar', key: id, batch_size: 2}\n"
        "transform: {type: passthrough}\nload: {destination: out.csv}\n"
    )
    with pytest.raises(SystemExit):
        main(["run", "pipeline.yaml"])
    assert (tmp_path / "out.csv").read_text().split() == ["id,celsius", "m0,18", "m1,19", "m2,23", "m3,21", "m4,20"]
