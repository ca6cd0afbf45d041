"""Compares what the API answers with its document, and what it answers from Postgres with SQLite."""

from __future__ import annotations

import jsonschema

from loom_migrations.engine import open_engine
from support.api import RUN, application, client_of, fill, json_of
from support.migrated import migrated_database

READ = (
    "/pipelines",
    "/pipelines/p",
    "/runs",
    "/runs?status=interrupted&since=2026-01-01T00:00:00Z",
    "/runs?limit=1",
    f"/runs/{RUN}",
    f"/runs/{RUN}/lineage",
    f"/runs/{RUN}/batches?limit=2",
    f"/runs/{RUN}/records?limit=2",
    f"/runs/{RUN}/records/r2",
    "/manifest",
    "/quarantine?evaluator=exact&max_score=0.5",
    "/quarantine/r2",
    "/quarantine-stats",
    "/costs?by=week",
    "/alerts",
    "/prefetch",
    "/runs/run_9",
)


async def test_postgres_answers_as_sqlite_does(client, postgres):
    async def answers(asked):
        found = {path: (await asked.get(path)).json() for path in READ}
        found["next runs"] = (await asked.get("/runs", params={"after": found["/runs?limit=1"]["next"]})).json()
        batches = f"/runs/{RUN}/batches"
        found["next batches"] = (await asked.get(batches, params={"after": found[f"{batches}?limit=2"]["next"]})).json()
        return found

    async with migrated_database(postgres) as url:
        engine = open_engine(url)
        try:
            await fill(engine)
            async with client_of(application(engine)) as other:
                assert await answers(other) == await answers(client)
                assert (await other.get(f"/runs/{RUN}/metrics")).json()["batches"] == {"done": 2, "in_flight": 1}
        finally:
            await engine.dispose()


ROUTES = {
    "/pipelines": "/pipelines",
    "/pipelines/{name}": "/pipelines/p",
    "/pipelines/{name}/versions": "/pipelines/p/versions",
    "/pipelines/{name}/metrics": "/pipelines/p/metrics",
    "/pipelines/{name}/prompts": "/pipelines/p/prompts",
    "/pipelines/{name}/prompts/{version}": "/pipelines/p/prompts/aaaa",
    "/pipelines/{name}/prompts/{version}/diff/{other}": "/pipelines/p/prompts/aaaa/diff/bbbb",
    "/pipelines/{name}/contexts": "/pipelines/p/contexts",
    "/pipelines/{name}/contexts/{version}": "/pipelines/p/contexts/aaaa",
    "/pipelines/{name}/contexts/{version}/diff/{other}": "/pipelines/p/contexts/aaaa/diff/bbbb",
    "/runs": "/runs",
    "/runs/{run_id}": f"/runs/{RUN}",
    "/runs/{run_id}/metrics": f"/runs/{RUN}/metrics",
    "/runs/{run_id}/lineage": f"/runs/{RUN}/lineage",
    "/runs/{run_id}/evaluations": f"/runs/{RUN}/evaluations",
    "/runs/{run_id}/batches": f"/runs/{RUN}/batches",
    "/runs/{run_id}/records": f"/runs/{RUN}/records",
    "/runs/{run_id}/records/{record_id}": f"/runs/{RUN}/records/r2",
    "/manifest": "/manifest",
    "/quarantine": "/quarantine",
    "/quarantine-stats": "/quarantine-stats",
    "/quarantine/{record_id}": "/quarantine/r2",
    "/costs": "/costs",
    "/alerts": "/alerts",
    "/connectors": "/connectors",
    "/plugins": "/plugins",
}
"""Holds the routes that answer without a cluster -> a path of each that finds something."""


async def test_what_is_found_has_the_fields_that_the_document_declares_and_no_others(client):
    """Fuzzed requests name runs and records that there are not, so that their answers are errors."""
    document = await json_of(client, "/openapi.json")
    for route, path in ROUTES.items():
        content = document["paths"][f"/api/v1{route}"]["get"]["responses"]["200"]["content"]
        declared = closed({**content["application/json"]["schema"], "components": document["components"]})
        found = await json_of(client, path)
        assert found, path
        mistakes = list(jsonschema.Draft202012Validator(declared).iter_errors(found))
        assert not mistakes, f"{path}: {mistakes[0].json_path}: {mistakes[0].message}"


def closed(schema):
    """Return a schema whose objects have all the fields that it names, and no others."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {name: closed(each) for name, each in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        inner |= {"additionalProperties": False, "required": list(schema["properties"])}
    return inner
