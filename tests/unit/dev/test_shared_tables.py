"""Tests that tests which share a cluster do not share a table: one made by another test has other columns."""

import re
from collections import defaultdict
from pathlib import Path

TESTS = Path(__file__).parents[2]
_NAMED = re.compile(r"\$\{RESULTS\}\?table=(\w+)")


def test_a_table_of_the_shared_database_is_named_by_one_file_of_tests():
    named = defaultdict(set)
    for folder in ("e2e", "faults"):
        for file in (TESTS / folder).glob("*.py"):
            for table in _NAMED.findall(file.read_text(encoding="utf-8")):
                named[table].add(file.name)
    assert len(named) > 20
    assert {table: files for table, files in named.items() if len(files) > 1} == {}
