"""How the tests are shared among workers (`make test` has two): those of a cluster stay with one of them.

pytest-xdist groups by a mark that it writes into the names of tests, which pytest 9.2 no longer lets it do: each worker
then starts each cluster, and two workers have 24 services. So the groups are read from the names here."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).parents[2]
CLUSTERS = {"e2e": "the cluster", "faults": "the cluster to break"}
"""Names the clusters by the folder of the tests that use it."""
_USES_ONE = re.compile(r"\b(?:cluster|serving|staffed|fleet|breakable)\b")
_USES_NONE = re.compile(r"\[(?:.*-)?embedded(?:-.*)?\]$")


class ByCluster(LoadScopeScheduling):
    """Gives the tests of a cluster to one worker, the largest group first, and every other test to whoever is free."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid) or nodeid


def group_of(nodeid: str) -> str | None:
    """Return the cluster that a test may ask for; None where it certainly asks for none."""
    path = nodeid.partition("::")[0]
    folder = Path(path).parts[1] if path.startswith("tests/") else ""
    if folder not in CLUSTERS or _USES_NONE.search(nodeid) or not _uses_a_cluster(path):
        return None
    return CLUSTERS[folder]


@lru_cache
def _uses_a_cluster(path: str) -> bool:
    return _USES_ONE.search((ROOT / path).read_text(encoding="utf-8")) is not None
