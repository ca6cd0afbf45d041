"""Tests that names which a client cannot send are refused with the address, and others are taken as they are."""

from __future__ import annotations

import pytest
from pamqp import commands

from loom_common.config.credentials import Credentials
from loom_common.errors import ConfigurationError
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.rabbitmq.address import Address as Broker
from loom_connectors.storage.objects.address import Address as Bucket


@pytest.fixture
def context(tmp_path):
    return ConnectorContext(tmp_path, Credentials({}))


@pytest.mark.parametrize("name", ["a//b", "/a", "a/../b", "./a", "a%0Ab", "a%00", "a/%2E%2E/b"])
def test_a_name_that_no_object_can_have_is_refused(context, name):
    with pytest.raises(ConfigurationError, match=r"takes no name with an empty part"):
        Bucket.of(f"s3://bucket/{name}", context)


@pytest.mark.parametrize("name", ["a b.csv", "\u00e9.csv", "a+b.csv", "a%25b.csv", "folder/", "**/*.csv", "...csv"])
def test_any_other_name_of_an_object_is_taken(context, name):
    assert Bucket.of(f"s3://bucket/{name}", context).key == name.replace("%25", "%")


@pytest.mark.parametrize("kind", ["queue", "exchange"])
@pytest.mark.parametrize("name", ["\u00e4", "per%2525", "q" * 256, "a%3Bb", "tab%09"])
def test_a_queue_or_exchange_whose_name_cannot_be_sent_is_refused(context, kind, name):
    with pytest.raises(ConfigurationError, match=f"names the {kind} .* The client of RabbitMQ takes names of at most"):
        Broker.of(f"amqp://host/?{kind}={name}", context, (kind,))


@pytest.mark.parametrize("name", ["a b", "a/b", "a-_.:@%23,/%2Bb", "q" * 255, ""])
def test_any_other_is_taken_and_can_be_sent(context, name):
    broker = Broker.of(f"amqp://host/?queue={name}", context, ("queue",))
    commands.Queue.Declare(queue=broker.settings.get("queue", "")).validate()
