"""Defines errors of the developer's environment."""

from __future__ import annotations


class SetupError(Exception):
    """The developer's environment cannot do what was asked. `str(error)` says what, where, and what to do about it."""


class BackendUnavailable(SetupError):
    """A RabbitMQ, Postgres or Redis server could not be started."""
