"""Asks the API over HTTP whatever its OpenAPI document allows, and more, and holds its answers against the document.

`make fuzz-api` asks more often."""

from __future__ import annotations

import asyncio
import os
import threading

import hypothesis
import pytest
import schemathesis
from schemathesis import checks

from loom.project.config import LoomConfig
from loom_api import server, service
from loom_api.settings import ApiSettings
from support.api import fill_file

EXAMPLES = int(os.environ.get("LOOM_API_FUZZ_EXAMPLES", "4"))
CHECKS = (
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
)


@pytest.fixture
def url(tmp_path, monkeypatch):
    """Serve a filled project from a thread, and return the URL."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".loom").mkdir()
    asyncio.run(fill_file(tmp_path / ".loom/loom.db"))
    settings = ApiSettings(port=0, requests_per_minute=0)
    listening = server.listen(settings)
    loop, stop = asyncio.new_event_loop(), asyncio.Event()

    async def serve():
        async with service.opened(LoomConfig(), settings) as application:
            await server.serve(application, listening, stop)

    serving = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    serving.start()
    yield server.address_of(listening)
    loop.call_soon_threadsafe(stop.set)
    serving.join()
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


def test_every_answer_is_as_the_document_says(url):
    schema = schemathesis.openapi.from_url(f"{url}/api/v1/openapi.json")
    for found in schema.get_all_operations():
        operation = found.ok()

        @hypothesis.given(case=operation.as_strategy())
        @hypothesis.settings(
            max_examples=EXAMPLES,
            database=None,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        def ask(case):
            case.call_and_validate(checks=CHECKS)

        ask()
