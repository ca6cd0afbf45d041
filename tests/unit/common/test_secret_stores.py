"""Tests references to secrets in Vault, AWS Secrets Manager and `.env`, against servers that check who asks."""

from __future__ import annotations

import json
import os

import pytest

from loom_common.caching.resource_cache import ResourceCache
from loom_common.config.credentials import KEPT_SECONDS, Credentials
from loom_common.config.secrets.environment import EnvProvider
from loom_common.errors import AccessRefused, CredentialReplaced, DependencyUnavailable, MissingCredential
from support.secret_stores import AWS_KEYS, TOKEN, secrets_manager, vault

PLANTED = "pl4nted-v4lue"
FIELDS = {"user": "loom", "password": PLANTED, "port": 5432, "list": [PLANTED]}


@pytest.fixture
def kv(monkeypatch):
    with vault({"secret/shop/db": FIELDS, "secret/one": {"key": PLANTED}, "secret/gone": None}) as store:
        monkeypatch.setenv("VAULT_ADDR", store.url)
        monkeypatch.setenv("VAULT_TOKEN", TOKEN)
        yield store


@pytest.fixture
def aws(monkeypatch, tmp_path):
    stored = {"prod/db": json.dumps(FIELDS), "plain": PLANTED, "arn:aws:secretsmanager:eu-north-1:1:secret:a": "{}"}
    with secrets_manager(stored) as store:
        for name, value in {**AWS_KEYS, "AWS_ENDPOINT_URL_SECRETS_MANAGER": store.url}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield store


@pytest.mark.parametrize(
    ("reference", "value"),
    [
        ("${vault:secret/shop/db#password}", PLANTED),
        ("${vault:secret/shop/db#port}", "5432"),
        ("${vault:secret/one}", PLANTED),
        (
            "postgres://${vault:secret/shop/db#user}:${vault:secret/shop/db#password}@h/x",
            f"postgres://loom:{PLANTED}@h/x",
        ),
    ],
)
def test_a_field_of_a_secret_in_vault_is_found(kv, reference, value):
    assert Credentials().expand(reference, in_url=True) == value


@pytest.mark.parametrize(
    ("reference", "value"),
    [
        ("${aws:prod/db#password}", PLANTED),
        ("${aws:prod/db#port}", "5432"),
        ("${aws:plain}", PLANTED),
        ("${aws:arn:aws:secretsmanager:eu-north-1:1:secret:a}", "{}"),
    ],
)
def test_a_field_of_a_secret_in_aws_is_found(aws, reference, value):
    assert Credentials().expand(reference) == value


@pytest.mark.parametrize(
    ("reference", "told"),
    [
        ("${vault:secret/shop/db#pasword}", "no field 'pasword'; its fields are: list, password, port, user"),
        ("${vault:secret/shop/db}", "needs a field, secret/shop/db#field; its fields are: list, password"),
        ("${vault:secret/shop/db#list}", "The field 'list' of Vault's secret secret/shop/db is no text"),
        ("${vault:secret/nothing#x}", "vault kv put"),
        ("${vault:secret/gone#x}", "vault kv put"),
        ("${vault:nopath}", "no path of Vault"),
        ("${aws:prod/db#pasword}", "AWS's secret prod/db has no field 'pasword'; its fields are: list, password"),
        ("${aws:prod/db#list}", "is no text and no number"),
        ("${aws:plain#x}", "has no fields: it is no JSON object"),
        ("${aws:nothing}", "Create it in AWS Secrets Manager"),
        ("${azure:x}", "no credential provider 'azure'; known: env, file, aws, vault"),
        ("${file:no/such}", "Put the secret into the file no/such"),
    ],
)
def test_what_is_missing_is_told_without_a_value(kv, aws, reference, told):
    with pytest.raises(MissingCredential) as refused:
        Credentials().expand(reference)
    assert reference in str(refused.value)
    assert told in str(refused.value)
    assert PLANTED not in str(refused.value)


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("VAULT_ADDR", "vault:8200", "Set VAULT_ADDR to the http"),
        ("VAULT_TOKEN", "hvs.another", "refused to give Vault's secret secret/one \\(HTTP 403\\)"),
        ("VAULT_TOKEN", "a\nb", "characters that no header may have"),
        ("VAULT_CACERT", "/no/such.pem", "The file /no/such.pem of VAULT_CACERT"),
    ],
)
def test_a_vault_that_cannot_be_asked_is_told(kv, monkeypatch, variable, value, told):
    monkeypatch.setenv(variable, value)
    with pytest.raises(MissingCredential, match=told):
        Credentials().expand("${vault:secret/one}")


def test_without_a_token_the_one_of_vault_login_is_used(kv, monkeypatch, tmp_path):
    monkeypatch.delenv("VAULT_TOKEN")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(MissingCredential, match="vault login"):
        Credentials().expand("${vault:secret/one}")
    (tmp_path / ".vault-token").write_text(f"{TOKEN}\n")
    assert Credentials().expand("${vault:secret/one}") == PLANTED


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("AWS_SECRET_ACCESS_KEY", "another", "refused to give plain \\(UnrecognizedClientException\\)"),
        ("AWS_REGION", "", "Set AWS_REGION"),
        ("AWS_ACCESS_KEY_ID", "", "found no keys"),
    ],
)
def test_an_aws_that_cannot_be_asked_is_told(aws, monkeypatch, variable, value, told):
    if value:
        monkeypatch.setenv(variable, value)
    else:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/no/such")
    with pytest.raises(MissingCredential, match=told):
        Credentials().expand("${aws:plain}")


def test_a_store_that_is_away_may_come_back(kv, aws, monkeypatch):
    kv.status = aws.status = 503
    credentials = Credentials()
    for reference in ("${vault:secret/one}", "${aws:plain}"):
        with pytest.raises(DependencyUnavailable, match="now"):
            credentials.expand(reference)
        assert [type(each) for each in credentials.missing(reference)] == [DependencyUnavailable]
    kv.status = aws.status = None
    assert credentials.expand("${vault:secret/one}${aws:plain}") == PLANTED * 2
    monkeypatch.setenv("VAULT_ADDR", "http://127.0.0.1:9")
    with pytest.raises(DependencyUnavailable, match="cannot be reached: ConnectionRefusedError"):
        Credentials().expand("${vault:secret/one}")


def test_an_answer_is_used_for_some_minutes(kv):
    now = [0.0]
    credentials = Credentials(clock=lambda: now[0])
    assert [credentials.expand("${vault:secret/one}") for _ in range(3)] == [PLANTED] * 3
    assert kv.asked == ["secret/one"]
    kv.secrets["secret/one"] = {"key": "new"}
    assert credentials.expand("${vault:secret/one}") == PLANTED
    now[0] = KEPT_SECONDS + 1
    assert credentials.expand("${vault:secret/one}") == "new"


class _Connection:
    def __init__(self, password: str) -> None:
        self.password = password
        self.closed = False

    async def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("reference", ["${vault:secret/one}", "${aws:plain}"])
async def test_a_connection_whose_secret_was_refused_is_opened_with_the_new_one(kv, aws, reference):
    credentials, location = Credentials(), f"x://me:{reference}@h"
    connections: ResourceCache[_Connection] = ResourceCache(credentials=credentials)

    def opened() -> _Connection:
        return _Connection(credentials.expand(location))

    async def use(expected: str) -> _Connection:
        async with connections.of("plan", opened, (location,)) as connection:
            if expected not in connection.password:
                raise AccessRefused("x://h: the password is wrong.")
            return connection

    first = await use(PLANTED)
    assert await use(PLANTED) is first
    kv.secrets["secret/one"], aws.secrets["plain"] = {"key": "rotated"}, "rotated"
    with pytest.raises(CredentialReplaced, match="the next attempt uses the new one"):
        await use("rotated")
    assert first.closed
    second = await use("rotated")
    with pytest.raises(AccessRefused, match="the password is wrong"):
        await use("what nobody stored")
    assert second.closed


def test_env_file_of_the_project_serves_development(tmp_path, monkeypatch):
    monkeypatch.setenv("SET", "from the environment")
    (tmp_path / ".env").write_text("SET=from the file\nexport KEY='a $x #1'\nLOOM_OWN=mine\nEMPTY=\n")
    credentials = Credentials.of_project(tmp_path, "LOOM_")
    assert credentials.expand("${SET}|${KEY}|${env:KEY}|${OWN}") == "from the environment|a $x #1|a $x #1|mine"
    assert len(credentials.missing("${EMPTY}")) == 1
    (tmp_path / ".env").write_text("KEY=changed and longer\n")
    assert credentials.expand("${KEY}") == "changed and longer"
    (tmp_path / ".env").unlink()
    assert len(credentials.missing("${KEY}")) == 1
    assert "KEY" not in os.environ


def test_the_prefix_comes_first(tmp_path):
    provider = EnvProvider({"LOOM_KEY": "own", "KEY": "other"}, prefix="LOOM_", file=tmp_path / ".env")
    assert provider.get("KEY") == "own"
