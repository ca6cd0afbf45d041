"""Tests settings of the environment that cannot be used: told by their names, and never by their values."""

from __future__ import annotations

import subprocess
import sys

import pytest

from loom_common.config.credentials import Credentials
from loom_common.config.secrets.environment import EnvProvider
from loom_common.config.settings import BusSettings, JournalSettings, PayloadSettings, Settings, StateSettings
from loom_common.errors import ConfigurationError

KINDS = {"BUS": BusSettings, "STATE": StateSettings, "JOURNAL": JournalSettings, "PAYLOADS": PayloadSettings}
USED = {
    "BUS": ["memory://", "amqp://u:pa:55@h/v", "amqps://h:5671/%2F", "amqp://u:p@[::1]:5672/v"],
    "STATE": [
        "sqlite:///a.db",
        "postgresql://u:pa:ss@h:5432/d",
        "postgres://h/d?password=a:b",
        "postgresql:///d?host=/run",
    ],
    "JOURNAL": [
        "sqlite:////a/b.db",
        "redis://:se:cret@h:6379/0",
        "rediss://h",
        "postgresql://u:x@[::1]/d",
        "memory://",
    ],
    "PAYLOADS": ["file:.loom/payloads", "file:///srv/payloads", "postgresql://u@h:5432,g:5433/d"],
}
UNUSABLE = {
    "BUS": ["", "xx", "http://h", "amqp://u:sekret@h:bad/v"],
    "STATE": ["", "xx", "sqlite:sekret", "mysql://u:sekret@h/d", "postgresql://u:sekret@h:bad/d"],
    "JOURNAL": ["", "xx", "file:sekret", "redis://:sekret@h:bad/0"],
    "PAYLOADS": ["", "xx", "s3://sekret/x", "postgresql://u:sekret@[::1]:bad"],
}


@pytest.mark.parametrize(("kind", "url"), [(kind, url) for kind, urls in USED.items() for url in urls])
def test_addresses_as_their_servers_have_them_are_taken(monkeypatch, kind, url):
    monkeypatch.setenv(f"LOOM_{kind}_URL", url)
    assert KINDS[kind]().url.get_secret_value() == url


@pytest.mark.parametrize(("kind", "url"), [(kind, url) for kind, urls in UNUSABLE.items() for url in urls])
def test_an_address_that_cannot_be_used_is_told_by_its_variable_and_is_not_shown(monkeypatch, kind, url):
    monkeypatch.setenv(f"LOOM_{kind}_URL", url)
    for asked in (KINDS[kind], Settings):
        with pytest.raises(ConfigurationError, match=rf"cannot be used: LOOM_{kind}_URL, expected \w+:.*\.$") as told:
            asked()
        assert "sekret" not in str(told.value)
        assert told.value.__cause__ is None


@pytest.mark.parametrize("module", ["loom_loader", "loom_coordinator"])
def test_a_service_tells_it_in_a_line(module):
    environ = {"LOOM_BUS_URL": "amqp://u:sekret@h:bad/v"}
    done = subprocess.run(
        [sys.executable, "-m", module], env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert done.stderr == (
        "error: The environment has a setting that cannot be used: LOOM_BUS_URL, expected "
        "amqp://USER:PASSWORD@HOST:PORT/VHOST.\n"
    )


def test_the_file_is_named_to_those_who_have_one(tmp_path):
    with_file = Credentials({"env": EnvProvider({}, file=tmp_path / ".env")})
    with pytest.raises(ConfigurationError, match=r"variable ABSENT or write it into the project's \.env; in a cluster"):
        with_file.expand("${ABSENT}")
    with pytest.raises(ConfigurationError, match=r"variable ABSENT; in a cluster"):
        Credentials({"env": EnvProvider({})}).expand("${ABSENT}")
