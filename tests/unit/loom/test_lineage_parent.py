"""Tests that a run says for which task of another tool it was asked."""

import pytest

from loom.requests.lineage_parent import lineage_parent_of
from loom_common.contracts.v1 import LineageParent
from loom_common.errors import ConfigurationError

TASK = "airflow/daily.reviews/01978f6a-8c1e-7c1b-9d0e-3f0a5b6c7d8e"
DAG = "airflow/daily/01978f6a-0000-7c1b-9d0e-3f0a5b6c7d8e"


@pytest.mark.parametrize(
    ("environ", "given", "expected"),
    [
        ({}, None, None),
        ({"OPENLINEAGE_PARENT_ID": ""}, None, None),
        ({"OPENLINEAGE_ROOT_PARENT_ID": DAG}, None, None),
        ({"OPENLINEAGE_PARENT_ID": TASK}, None, LineageParent(run=TASK)),
        (
            {"OPENLINEAGE_PARENT_ID": TASK, "OPENLINEAGE_ROOT_PARENT_ID": DAG},
            None,
            LineageParent(run=TASK, root=DAG),
        ),
        ({"OPENLINEAGE_PARENT_ID": DAG}, {"run": TASK}, LineageParent(run=TASK)),
    ],
)
def test_code_names_the_parent_and_else_the_environment_does(environ, given, expected, monkeypatch):
    for name in ("OPENLINEAGE_PARENT_ID", "OPENLINEAGE_ROOT_PARENT_ID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert lineage_parent_of(given) == expected


def test_what_is_named_otherwise_is_refused_with_its_place(monkeypatch):
    monkeypatch.setenv("OPENLINEAGE_PARENT_ID", "daily.reviews")
    with pytest.raises(ConfigurationError, match=r"OPENLINEAGE_PARENT_ID is 'daily.reviews', where NAMESPACE/JOB/UUID"):
        lineage_parent_of(None)
    monkeypatch.setenv("OPENLINEAGE_PARENT_ID", TASK)
    monkeypatch.setenv("OPENLINEAGE_ROOT_PARENT_ID", "daily")
    with pytest.raises(ConfigurationError, match="OPENLINEAGE_ROOT_PARENT_ID is 'daily'"):
        lineage_parent_of(None)
    with pytest.raises(ConfigurationError, match="`root` of `lineage_parent` is 'x'"):
        lineage_parent_of({"run": TASK, "root": "x"})
    with pytest.raises(ConfigurationError, match="`run` of `lineage_parent` is None"):
        lineage_parent_of({"root": DAG})
    with pytest.raises(ConfigurationError, match="`task` of `lineage_parent`"):
        lineage_parent_of({"run": TASK, "task": "x"})
