import pytest

from loom_common.adapters.memory.topics import matches


@pytest.mark.parametrize(
    "pattern, key, expected",
    [
        ("run.request", "run.request", True),
        ("run.request", "run.cancel", False),
        ("run.*", "run.request", True),
        ("run.*", "run", False),
        ("run.*", "run.request.reviews", False),
        ("*.finished.*", "run.finished.reviews", True),
        ("load.#", "load.reviews", True),
        ("load.#", "load", True),
        ("load.#", "load.reviews.v2", True),
        ("load.#", "loader.reviews", False),
        ("#", "", True),
        ("#", "anything.at.all", True),
        ("*", "", False),
        ("#.reviews", "reviews", True),
        ("#.reviews", "batch.loaded.reviews", True),
        ("#.reviews", "batch.loaded.reviews.v2", False),
        ("batch.#.reviews", "batch.reviews", True),
        ("batch.#.reviews", "batch.loaded.twice.reviews", True),
        ("#.#", "one", True),
        ("a.*.#", "a", False),
        ("run.a+", "run.aa", False),
    ],
)
def test_a_pattern_matches_the_keys_that_rabbitmq_would_route(pattern, key, expected):
    assert matches(pattern, key) is expected
