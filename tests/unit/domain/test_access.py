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


@pytest.mark.parametrize(
    ("pattern", "groups", "may"),
    [
        ("group:ops", ("ops",), True),
        ("group:ops", ("ops2",), False),
        ("anna|group:(ops|dev)", ("dev",), True),
        ("ops", ("ops",), False),
        ("(?!ben).*", ("anything",), False),
        ("(?!group:).*", ("x",), True),
        ("group:ops", (), False),
    ],
)
def test_a_pattern_is_compared_with_groups_only_if_it_speaks_of_them(pattern, groups, may):
    policies = [AccessPolicy(user_pattern=pattern, resource_pattern=".*", actions=["*"], allow=True)]
    assert Viewer("ben", policies=policies, groups=groups).may(Kind.AUDIT, Action.READ) is may


OIDC = "issuer: https://login.example, client_id: loom, console_url: https://loom.example"
POLICY = "policies: [{user_pattern: a, resource_pattern: a, actions: [read], allow: true}]"


@pytest.mark.parametrize(
    ("oidc", "words"),
    [
        ("issuer: ftp://x, client_id: loom, console_url: https://loom.example", "https://"),
        ("issuer: http://login.example, client_id: loom, console_url: https://loom.example", "unless"),
        ("issuer: https://a.example?x=1, client_id: loom, console_url: https://loom.example", "query"),
        ("issuer: https://a.example, client_id: loom, console_url: https://loom.example/loom", "path"),
        ("issuer: 'https://[', client_id: loom, console_url: https://loom.example", "address"),
        (OIDC + ", client_secret: clear-0815", "a credential reference"),
        (OIDC + ", scopes: [email]", "openid"),
        (OIDC + ", audience: loom", "another audience"),
        (OIDC + ", session: 0h", "more than no time"),
        (OIDC + ", tenant: x", "tenant"),
        ("client_id: loom", "issuer"),
    ],
)  # fmt: skip
def test_a_provider_that_cannot_be_used_is_a_mistake(oidc, words):
    with pytest.raises(InvalidDefinition, match=words) as raised:
        LoomConfig.parse(f"access:\n  oidc: {{{oidc}}}\n  {POLICY}\n", "loom.yaml")
    assert "0815" not in str(raised.value)


def test_a_provider_without_policies_is_a_mistake_and_one_on_this_machine_is_none():
    with pytest.raises(InvalidDefinition, match="`policies` beside `oidc`"):
        LoomConfig.parse(f"access: {{oidc: {{{OIDC}}}}}\n", "loom.yaml")
    local = "issuer: 'http://127.0.0.1:5556/dex', client_id: loom, console_url: 'http://localhost:8780'"
    access = LoomConfig.parse(f"access:\n  oidc: {{{local}}}\n  {POLICY}\n", "loom.yaml").access
    assert access.controlled
    assert access.oidc.session_seconds == 12 * 3600
