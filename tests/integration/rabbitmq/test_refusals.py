"""Tests what is said where a queue cannot be read, or an exchange cannot be published to."""

from typing import Any

import pytest

from loom_common.config.credentials import Credentials
from loom_common.config.secrets.environment import EnvProvider
from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.definition.load import LoadConfig
from loom_common.errors import AccessRefused, ConfigurationError, DependencyUnavailable, DestinationError, SourceError
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.registry import open_destination, open_source
from support.queues import queues_at

SOURCE = "${BROKER}?queue=reviews"
DESTINATION = "${BROKER}?exchange=scores"


def context(folder, url: str) -> ConnectorContext:
    return ConnectorContext(folder, Credentials({"env": EnvProvider({"BROKER": url, "WRONG": "wrong-password"})}))


def extract(**changes: Any) -> ExtractConfig:
    return ExtractConfig(**{"source": SOURCE, **changes})


def load(**changes: Any) -> LoadConfig:
    return LoadConfig(**{"destination": DESTINATION, **changes})


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (extract(source="${BROKER}"), "without a queue; expected the name of a queue"),
        (extract(source="${BROKER}?quue=x"), "the unknown setting 'quue'. Did you mean 'queue'?"),
        (extract(source="amqp://?queue=x"), "names no host"),
        (extract(source="amqp://host:port/?queue=x"), "Percent-encode special characters"),
        (extract(options={"prefech": 3}), "Did you mean 'prefetch'?"),
        (extract(options={"until": "later"}), "'backlog' or 'idle'"),
        (extract(options={"idle_timeout": "soon"}), "a number and a unit: 30s"),
        (extract(query="SELECT 1"), "a queue is not asked"),
        (load(destination="${BROKER}?queue=x"), "the unknown setting 'queue'"),
        (load(destination="${BROKER}"), "without an exchange"),
        (load(mode="upsert"), "a message that is published cannot be changed"),
        (load(mode="replace"), "a message that is published cannot be changed"),
        (load(options={"routing_key": "a.{{"}), "braces that do not belong together"),
        (load(options={"headers": {"of": "{{ }}"}}), "a pair of braces that names no field"),
    ],
)
def test_a_mistake_is_refused_before_anything_is_connected(tmp_path, config, told):
    with pytest.raises(ConfigurationError) as raised:
        where = context(tmp_path, "amqp://user:secret@host:5672/vhost")
        open_source(config, where) if isinstance(config, ExtractConfig) else open_destination(config, where)
    assert told in str(raised.value)
    assert "secret" not in str(raised.value)


async def test_a_queue_that_does_not_exist_is_named(tmp_path, amqp_url):
    source = open_source(extract(), context(tmp_path, amqp_url))
    with pytest.raises(
        SourceError, match=r"has not the queue 'reviews'\. Declare it there, or correct extract\.source"
    ):
        await source.check()
    await source.close()


async def test_an_exchange_that_does_not_exist_is_named(tmp_path, amqp_url):
    destination = open_destination(load(), context(tmp_path, amqp_url))
    with pytest.raises(DestinationError, match=r"has not the exchange 'scores'\. Declare it there, or correct load"):
        await destination.check()
    await destination.close()


async def test_a_queue_of_another_connection_alone_is_named(tmp_path, amqp_url):
    async with queues_at(amqp_url) as queues:
        await queues.channel.declare_queue("reviews", exclusive=True)
        source = open_source(extract(), context(tmp_path, amqp_url))
        with pytest.raises(SourceError, match="declared it as exclusive"):
            await source.check()
        await source.close()


async def test_a_login_a_virtual_host_and_a_broker_that_are_wrong_are_told_apart(tmp_path, amqp_url):
    login, _, place = amqp_url.removeprefix("amqp://").rpartition("@")
    at = place.partition("/")[0]
    user = login.partition(":")[0]
    for url, error, told in (
        (f"amqp://{user}:wrong-password@{place}", AccessRefused, "refused the login"),
        (f"amqp://{login}@{at}/nowhere", AccessRefused, "did not open the virtual host"),
        (f"amqp://{login}@127.0.0.1:1/", DependencyUnavailable, "in the setting that names it: extract.source"),
    ):
        source = open_source(extract(), context(tmp_path, url))
        with pytest.raises(error) as raised:
            await source.check()
        assert told in str(raised.value)
        assert "wrong-password" not in str(raised.value)
        await source.close()
