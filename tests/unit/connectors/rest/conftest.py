"""Provides a server of its own for each test of the REST connector."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.rest_server import Api, serving


@pytest.fixture
def api() -> Iterator[Api]:
    """Provide a server with 23 records. No request that an earlier test gave up can still be on its way to it."""
    with serving(Api([{"id": number} for number in range(23)])) as api:
        yield api
