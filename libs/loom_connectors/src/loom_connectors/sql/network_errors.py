"""Says what it means that a server of SQL is not there, or does not answer, for drivers that raise errors of the
operating system."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from loom_common.errors import DependencyUnavailable, PermanentError, Timeout
from loom_connectors.sql.parameters import see_timeouts


@contextmanager
def network_errors_told(place: str, trouble: type[PermanentError]) -> Iterator[None]:
    """Raise `Timeout` or `DependencyUnavailable` in the place of an error of the network. `trouble` is what the end of
    a pipeline raises that is read or written there."""
    try:
        yield
    except TimeoutError as error:
        raise Timeout(f"{place}: no answer in time. {see_timeouts(trouble)}") from error
    except OSError as error:
        raise DependencyUnavailable(f"{place} cannot be reached: {error.strerror or error}.") from error
