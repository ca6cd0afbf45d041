"""Runs private RabbitMQ, Postgres and Redis servers on loopback, which end with the process that started them.

They run in containers where a Docker daemon answers, and otherwise from Debian packages, as processes outside of any
system service."""

from loom_dev.backends.backend import Backend, start_all
from loom_dev.backends.postgres import Postgres
from loom_dev.backends.rabbitmq import RabbitMQ
from loom_dev.backends.redis import Redis

__all__ = ["Backend", "Postgres", "RabbitMQ", "Redis", "start_all"]
