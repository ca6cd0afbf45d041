"""Tests the files that quarantined records are exported to."""

from __future__ import annotations

from collections.abc import AsyncIterator

from loom.cli.output.export import write
from loom_common.domain.json_values.shown import Shown


async def nothing() -> AsyncIterator[Shown]:
    for row in ():
        yield row


async def test_an_export_follows_a_link_and_keeps_the_permissions_of_the_file(tmp_path):
    (tmp_path / "shared.jsonl").write_text("{}\n")
    (tmp_path / "shared.jsonl").chmod(0o600)
    (tmp_path / "kept.jsonl").symlink_to("shared.jsonl")
    assert await write(tmp_path / "kept.jsonl", nothing()) == 0
    assert (tmp_path / "kept.jsonl").is_symlink()
    assert (tmp_path / "shared.jsonl").read_text() == ""
    assert (tmp_path / "shared.jsonl").stat().st_mode & 0o777 == 0o600
