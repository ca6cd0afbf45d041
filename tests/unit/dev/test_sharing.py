"""Tests how the tests are shared among workers."""

import pytest

from support.sharing import CLUSTERS, group_of


@pytest.mark.parametrize(
    ("test", "group"),
    [
        ("tests/e2e/test_admin.py::test_status_is_live", CLUSTERS["e2e"]),
        ("tests/e2e/test_gates.py::test_any[distributed]", CLUSTERS["e2e"]),
        ("tests/e2e/test_gates.py::test_any[embedded]", None),
        ("tests/e2e/test_models.py::test_any[embedded-openai]", None),
        ("tests/e2e/test_first_touch.py::test_any", None),
        ("tests/faults/test_killed_service.py::test_any", CLUSTERS["faults"]),
        ("tests/faults/test_killed_append.py::test_any", None),
        ("tests/unit/dev/test_sharing.py::test_any", None),
    ],
)
def test_the_tests_of_a_cluster_stay_together_and_all_others_are_free(test, group):
    assert group_of(test) == group


def test_no_test_that_starts_a_cluster_is_free(request):
    starting = [
        each for each in request.session.items if {"serving", "breakable"} & set(getattr(each, "fixturenames", ()))
    ]
    assert [item.nodeid for item in starting if group_of(item.nodeid) is None] == []
