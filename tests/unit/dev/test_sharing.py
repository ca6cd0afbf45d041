"""Tests how the tests are shared among workers."""

import pytest

from support.sharing import CLUSTERS, group_of


@pytest.mark.parametrize(
    ("test", "group"),
    [
        ("test_admin.py::test_status_is_live", CLUSTERS["e2e"]),
        (
            "test_gates.py::test_the_documented_query_over_the_tables_reproduces_every_verdict[distributed]",
            CLUSTERS["e2e"],
        ),
        ("test_gates.py::test_the_documented_query_over_the_tables_reproduces_every_verdict[embedded]", None),
        ("test_gates.py::test_the_gate_lets_through_what_it_should_and_says_why_not[any_pass]", None),
        ("test_models.py::test_any_provider_gives_nested_outputs[openai-cluster]", CLUSTERS["e2e"]),
        ("test_models.py::test_any_provider_gives_nested_outputs[openai-embedded]", None),
        ("test_first_touch.py::test_any", None),
    ],
)
def test_the_tests_of_a_cluster_stay_together_and_all_others_are_free(test, group):
    assert group_of(f"tests/e2e/{test}") == group


@pytest.mark.parametrize(
    ("test", "group"),
    [
        ("tests/faults/test_killed_service.py::test_a_run_outlives_a_killed[loader-0]", CLUSTERS["faults"]),
        ("tests/faults/test_killed_append.py::test_any", None),
        ("tests/unit/dev/test_sharing.py::test_any", None),
    ],
)
def test_each_folder_has_its_own_cluster(test, group):
    assert group_of(test) == group


@pytest.mark.parametrize(
    "test",
    [
        "tests/integration/snowflake/test_snowflake.py::test_any",
        "tests/conformance/test_sources.py::test_any[snowflake-two-keys]",
        "tests/faults/test_killed_sql_load.py::test_any[${SNOWFLAKE}&table=scores]",
    ],
)
def test_the_tests_of_an_emulator_stay_together(test):
    assert group_of(test) == "snowflake"


def test_the_tests_of_one_source_stay_together():
    tests = [f"tests/conformance/test_sources.py::{each}[s3-csv]" for each in ("test_one", "test_other")]
    assert {group_of(each) for each in tests} == {"s3-csv]"}


def test_no_test_that_starts_a_cluster_a_broker_or_a_browser_is_free(request):
    slow = {"serving", "breakable", "own_rabbitmq", "browser", "opens"}
    starting = [each for each in request.session.items if slow & set(getattr(each, "fixturenames", ()))]
    assert [item.nodeid for item in starting if group_of(item.nodeid) is None] == []
