"""Tests a stream on a cluster that is given its records over HTTP: whatever is killed, each one is loaded once."""

from __future__ import annotations

import json

from loom.project.config import LoomConfig
from loom_api import service
from loom_api.settings import ApiSettings
from loom_dev.waiting import within
from support.api import client_of
from support.cluster_streams import ids_in, named, stream_on
from support.streamed import ids


async def test_records_that_were_answered_outlive_the_extractor(cluster):
    name = named("given")
    config = LoomConfig.load(cluster.project / "loom.yaml").for_cluster()
    async with (
        stream_on(cluster, name, extract={"source": f"api://{name}", "key": "id"}) as stream,
        service.opened(config, ApiSettings()) as application,
        client_of(application) as client,
    ):

        async def give(numbers: range) -> None:
            body = "".join(json.dumps({"id": f"t{each:05}"}) + "\n" for each in numbers)
            headers = {"Content-Type": "application/x-ndjson", "Idempotency-Key": f"{name}-{numbers.start}"}
            answer = await client.post(f"/pipelines/{name}/records", content=body, headers=headers)
            assert answer.status_code == 202, answer.text

        await give(range(30))
        await stream.until_loaded(8)
        cluster.kill("extractor")
        await give(range(30, 60))
        await give(range(30, 60))  # its answer might have been lost
        await cluster.serve()
        await stream.until_loaded(60)
        await stream.session.drain(stream.following.stream)
        async with within(60):
            await stream.following.ended.wait()
        assert await ids_in(cluster, name) == ids(range(60))
        windows = await stream.windows()
        assert await cluster.rows("SELECT 1 FROM inbox_records WHERE inbox LIKE $1", f"{name}/%") == []
    assert {row["status"] for row in windows} == {"succeeded"}
    assert sum(row["records"] for row in windows) == 60
