"""Real servers of one's own: RabbitMQ, Postgres and Redis, on loopback, gone with whoever started them.

In a container where a Docker daemon answers; else from the Debian packages, as processes that no system
service knows of."""

from loom_dev.backends.backend import Backend, start_all
from loom_dev.backends.postgres import Postgres
from loom_dev.backends.rabbitmq import RabbitMQ
from loom_dev.backends.redis import Redis

__all__ = ["Backend", "Postgres", "RabbitMQ", "Redis", "start_all"]
