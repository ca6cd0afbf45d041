"""Tests what a service that is a process of its own must be given."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from loom_common.config.settings import BusSettings, Settings
from loom_common.errors import ConfigurationError
from loom_common.service.process import require_broker


def settings(url):
    return Settings(bus=BusSettings(url=SecretStr(url)))


def test_a_service_without_a_broker_says_which_variable_names_one():
    with pytest.raises(ConfigurationError, match="Set LOOM_BUS_URL to the address of RabbitMQ"):
        require_broker(settings("memory://"))


def test_a_service_takes_the_broker_that_it_is_given():
    require_broker(settings("amqp://loom:secret@rabbitmq:5672/%2F"))
