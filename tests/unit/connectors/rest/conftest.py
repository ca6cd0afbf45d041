"""Provides one server for all tests of the REST connector."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.rest_server import Api, serving


@pytest.fixture(scope="package")
def server() -> Iterator[Api]:
    with serving(Api()) as api:
        yield api


@pytest.fixture
def api(server: Api) -> Api:
    """Return the server as it is when it starts, with 23 records."""
    return server.renewed([{"id": number} for number in range(23)])
