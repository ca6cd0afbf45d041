"""What can go wrong in the developer's environment, in words for the developer."""

from __future__ import annotations


class SetupError(Exception):
    """The developer's environment cannot do what was asked. `str(error)` says what, where, and what to do about it."""


class BackendUnavailable(SetupError):
    """A RabbitMQ, Postgres or Redis could not be started."""
