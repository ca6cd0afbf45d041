"""Tests who may do what."""

import pytest

from loom.project.config import LoomConfig
from loom_common.domain.access import AccessPolicy, Action, Kind, Viewer
from loom_common.errors import InvalidDefinition

POLICIES = [
    AccessPolicy(user_pattern="eve", resource_pattern=".*", actions=["*"], allow=False),
    AccessPolicy(user_pattern=".*", resource_pattern="runs/secret", actions=["*"], allow=False),
    AccessPolicy(user_pattern="an.*", resource_pattern="(runs|costs)/.*", actions=["read"], allow=True),
    AccessPolicy(user_pattern="anna", resource_pattern="runs/a", actions=["read_data", "control"], allow=True),
    AccessPolicy(user_pattern="root", resource_pattern=".*", actions=["*"], allow=True),
]


@pytest.mark.parametrize(
    ("user", "kind", "action", "pipeline", "may"),
    [
        ("anna", Kind.RUNS, Action.READ, "a", True),
        ("anna", Kind.RUNS, Action.READ, "secret", False),
        ("anna", Kind.RUNS, Action.READ_DATA, "a", True),
        ("anna", Kind.RUNS, Action.READ_DATA, "ab", False),
        ("andy", Kind.RUNS, Action.READ_DATA, "a", False),
        ("anna", Kind.QUARANTINE, Action.READ, "a", False),
        ("anna", Kind.CLUSTER, Action.READ, None, False),
        ("joanna", Kind.RUNS, Action.READ, "a", False),
        ("root", Kind.CLUSTER, Action.CONTROL, None, True),
        ("root", Kind.RUNS, Action.READ, "secret", False),
        ("eve", Kind.RUNS, Action.READ, "a", False),
        ("root\n", Kind.CLUSTER, Action.READ, None, False),
    ],
)
def test_the_first_policy_that_matches_decides_and_none_denies(user, kind, action, pipeline, may):
    assert Viewer(user, policies=POLICIES).may(kind, action, pipeline) is may


def test_a_token_is_for_its_scopes_alone():
    viewer = Viewer("root", "t", ("read",), POLICIES)
    assert viewer.may(Kind.RUNS, Action.READ, "a")
    assert not viewer.may(Kind.RUNS, Action.CONTROL, "a")
    assert viewer.among(["a", "secret"], Kind.RUNS) == {"a"}


def test_without_policies_everything_may_be_done_and_an_empty_list_of_them_denies():
    assert Viewer("anybody").may(Kind.AUDIT, Action.READ)
    assert not Viewer("root", policies=[]).may(Kind.AUDIT, Action.READ)


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ("{user_pattern: '(', resource_pattern: a, actions: [read], allow: true}", "a regular expression"),
        ("{user_pattern: a, resource_pattern: a, actions: [reed], allow: true}", "reed"),
        ("{user_pattern: a, resource_pattern: a, actions: [], allow: true}", "actions"),
        ("{user_pattern: a, resource_pattern: a, actions: [read]}", "allow"),
    ],
)
def test_a_policy_that_says_nothing_is_a_mistake(policy, words):
    with pytest.raises(InvalidDefinition, match=words):
        LoomConfig.parse(f"access:\n  policies:\n    - {policy}\n", "loom.yaml")
