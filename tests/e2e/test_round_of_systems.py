"""Tests that a typed, awkward table goes once round eight systems by `loom run`, with nothing changed but what
docs/values.md says."""

from __future__ import annotations

import asyncio
import json
from itertools import pairwise

from support.awkward_table import ROWS, SYSTEMS, Pairs, differences


def test_a_table_goes_round_all_systems_and_comes_back(
    tmp_path, loom, s3_environment, postgres_url, mariadb_url, monkeypatch
):
    environ = {**s3_environment, "DB": postgres_url, "MARIADB": mariadb_url}
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    pairs = Pairs(tmp_path, environ)
    expected = asyncio.run(pairs.moved(SYSTEMS["csv"], "round_0", sorted(ROWS, key=lambda row: row["id"])))
    for at, (source, destination) in enumerate(pairwise([*SYSTEMS, "csv"])):
        origin, target = SYSTEMS[source], SYSTEMS[destination]
        asyncio.run(pairs.make_table(target, f"round_{at + 1}"))
        written = {
            "name": f"{source}_to_{destination}",
            "extract": {"source": origin.place.replace("{name}", f"round_{at}"), "options": dict(origin.read)},
            "transform": {"type": "passthrough"},
            "load": {
                "destination": target.place.replace("{name}", f"round_{at + 1}"), "mode": target.mode,
                "options": dict(target.write),
            },
        }  # fmt: skip
        (tmp_path / "pipeline.yaml").write_text(json.dumps(written))
        done = loom("run", "pipeline.yaml", "--format", "json")
        assert (done.code, done.report["records"]["loaded"]) == (0, len(ROWS)), done.err
        expected = target.kept_of(expected)
        found = asyncio.run(pairs.read(target, f"round_{at + 1}"))
        assert [*differences(found, expected)] == []
