"""Tests which references may stand for the host of a URL."""

from __future__ import annotations

import pytest

from loom_common.config.credentials import Credentials
from loom_common.config.secrets.environment import EnvProvider
from loom_common.errors import MissingCredential

SECRETS = {"PORT_TOO": "db.internal:5433", "WHOLE": "u:p@db", "HOST": "db.internal", "SIX": "[::1]", "SECRET": "p@:/w"}


@pytest.fixture
def credentials():
    return Credentials({"env": EnvProvider(SECRETS)})


@pytest.mark.parametrize(
    "url",
    [
        "postgres://u:${SECRET}@${PORT_TOO}/db",
        "postgres://${SECRET}:${SECRET}@${PORT_TOO}:5432/db",
        "https://${PORT_TOO}/v1",
        "amqp://${WHOLE}",
        "rest+https://${WHOLE}?page=1",
    ],
)
def test_a_reference_for_a_host_that_holds_more_is_refused_without_what_it_holds(credentials, url):
    with pytest.raises(MissingCredential, match=r"is no name of a host.*write its port.*behind it") as raised:
        credentials.expand(url, in_url=True)
    assert not [secret for secret in SECRETS.values() if secret in str(raised.value)]


@pytest.mark.parametrize(
    ("url", "expanded"),
    [
        ("postgres://u:${SECRET}@${HOST}:5432/db", "postgres://u:p%40%3A%2Fw@db.internal:5432/db"),
        ("postgres://${SECRET}:${SECRET}@${HOST}/db", "postgres://p%40%3A%2Fw:p%40%3A%2Fw@db.internal/db"),
        ("http://${SIX}:80/v1", "http://[::1]:80/v1"),
        ("https://h/${PORT_TOO}?at=${WHOLE}", "https://h/db.internal%3A5433?at=u%3Ap%40db"),
        ("${PORT_TOO}/x", "db.internal:5433/x"),
    ],
    ids=["host", "user and host", "address", "path and query", "beginning"],
)
def test_a_reference_stands_for_one_part_of_a_url(credentials, url, expanded):
    assert credentials.expand(url, in_url=True) == expanded
