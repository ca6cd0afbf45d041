"""How the tests are shared among workers (`make test` has three): those of a cluster, of an emulator, or of a broker
that they end, stay with one of them.

pytest-xdist groups by a mark that it writes into the names of tests, which pytest 9.2 no longer lets it do: each worker
then starts each cluster, and two workers have 24 services. So the groups are read from the names here."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path

from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

from support.syntax import parsed

ROOT = Path(__file__).parents[2]
CLUSTERS = {"e2e": "the cluster", "faults": "the cluster to break"}
"""Names the clusters by the folder of the tests that use it."""
NOT_SHARED = ("snowflake", "mssql", "broker_was_away", "in_a_browser")
"""Holds what tests have in their names that use what no worker shares with others: an emulator, a broker that they end,
a browser. It takes seconds to start, so one worker does."""
MADE_ONCE = "tests/conformance/test_sources.py"
"""Names the module whose tests of one source use the same records, which take longer to write than to read."""
_FIXTURES = frozenset({"serving", "breakable"})
"""Start the clusters; all others that lend one ask for these."""
_BY_NAME = ("getfixturevalue", "usefixtures")
_USES_NONE = re.compile(r"\[(?:.*-)?embedded(?:-.*)?\]$")


class ByCluster(LoadScopeScheduling):
    """Gives the tests of a cluster, or of a server that is not shared, to one worker, the largest group first, and
    every other test to whoever is free."""

    def schedule(self) -> None:
        """Give each worker two groups, or say that there are no more: it begins a test when it knows what follows. One
        that takes the place of a crashed one, and is given one test, would never begin it."""
        super().schedule()
        for node in self.nodes:
            self._reschedule(node)

    def remove_node(self, node: WorkerController) -> str | None:
        """Return the test in which a worker crashed. xdist would give it to the next worker, and to the next."""
        groups = self.assigned_work[node]
        crashed = next((each for group in groups.values() for each, ended in group.items() if not ended), None)
        if crashed is not None:
            self._end(node, crashed)
        super().remove_node(node)
        return crashed

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid) or nodeid

    def mark_test_complete(self, node: WorkerController, item_index: int, duration: float = 0) -> None:
        super().mark_test_complete(node, item_index, duration)
        self._end(node, self.registered_collections[node][item_index])

    def _end(self, node: WorkerController, test: str) -> None:
        """Forget a group that is done: xdist would count its tests again after each test that follows."""
        groups, group = self.assigned_work[node], self._split_scope(test)
        groups[group][test] = True
        if all(groups[group].values()):
            del groups[group]


def group_of(nodeid: str) -> str | None:
    """Return the cluster or the server that is not shared which a test may ask for; None where it certainly asks for
    none."""
    path, _, name = nodeid.partition("::")
    folder = Path(path).parts[1] if path.startswith("tests/") else ""
    may_ask = folder in CLUSTERS and not _USES_NONE.search(nodeid)
    if may_ask and name.partition("[")[0] in _users_of_a_cluster(path):
        return CLUSTERS[folder]
    if path == MADE_ONCE and "snowflake" not in name:
        return name.partition("[")[2]
    return next((each for each in NOT_SHARED if each in nodeid.lower()), None)


@lru_cache
def _users_of_a_cluster(path: str) -> frozenset[str]:
    """Return the functions of a test module, and the fixtures it may use, that ask for a cluster, also by way of other
    fixtures."""
    asked: Mapping[str, frozenset[str]] = {
        **_asked(Path(path).parent / "conftest.py"),
        **_asked(Path(path)),
    }
    users = _FIXTURES
    while more := {name for name, fixtures in asked.items() if fixtures & users} - users:
        users |= more
    return users


def _asked(path: Path) -> dict[str, frozenset[str]]:
    """Return the fixtures that each function of a module asks for, by its arguments or in its body."""
    module = parsed((ROOT / path).read_text(encoding="utf-8"))
    functions = [each for each in module.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]
    return {each.name: frozenset(_fixtures_of(each)) for each in functions}


def _fixtures_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    yield from (argument.arg for argument in (*function.args.args, *function.args.kwonlyargs))
    for call in ast.walk(function):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in _BY_NAME:
            yield from (each.value for each in call.args if isinstance(each, ast.Constant))
