"""Runs private RabbitMQ, Postgres, MariaDB, Redis and SeaweedFS servers on loopback, which end with who started them.

They run in containers where a Docker daemon answers, and otherwise from Debian packages or wheels, as processes outside
of any system service."""

from loom_dev.backends.backend import Backend, start_all
from loom_dev.backends.mariadb import MariaDB
from loom_dev.backends.pgbouncer import PgBouncer
from loom_dev.backends.postgres import Postgres
from loom_dev.backends.rabbitmq import RabbitMQ
from loom_dev.backends.redis import Redis
from loom_dev.backends.seaweedfs import SeaweedFS

__all__ = ["Backend", "MariaDB", "PgBouncer", "Postgres", "RabbitMQ", "Redis", "SeaweedFS", "start_all"]
