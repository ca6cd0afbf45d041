"""Tests the outputs of a cluster's run scored again, and applied to its destination."""

from __future__ import annotations

from loom.project.config import LoomConfig
from loom.project.definition_file import load
from loom.rescoring.apply import apply
from loom.rescoring.request import Asked
from loom.session import open_session
from support.clients import ended, request_of
from support.projects import Project, ids, project, python, reviews

CODE = """
def judged(record):
    return {"score": int(record["stars"])}
"""
STARS = {"type": "range", "name": "stars", "field": "score", "min": 2, "max": 9, "threshold": 1.0}


def of_stars(*stars: int) -> list[str]:
    return [row["id"] for row in reviews(20) if int(row["stars"]) in stars]


async def test_what_is_applied_to_a_clusters_run_loads_and_withdraws_once(cluster, monkeypatch):
    for name, value in cluster.credentials.items():
        monkeypatch.setenv(name, value)
    config = LoomConfig.load(cluster.project / "loom.yaml").for_cluster()
    made = project(
        cluster.project / "scored_again", 20, name="scored_again", transform=python(), code=CODE,
        evaluate={"evaluators": [STARS]}, destination="${RESULTS}?table=scored_again",
    )  # fmt: skip
    async with open_session(config, cluster=True) as session:
        report = (await ended(session, (await session.start(request_of(made, config))).run_id)).report
    assert ids(await made.loaded(cluster.credentials)) == of_stars(2, 3, 4, 5)
    other = Project(made.folder, made.path("other.yaml"), made.definition)
    other.say(evaluate={"evaluators": [{**STARS, "min": 1, "max": 3}]})
    asked = Asked(load(other.pipeline))

    applied = await apply(config, report.run_id, asked)
    assert (applied.applied["loaded"], applied.applied["withdrawn"]) == (4, 8)
    assert ids(await made.loaded(cluster.credentials)) == of_stars(1, 2, 3)
    again = await apply(config, report.run_id, asked)
    assert (again.applied["loaded"], again.applied["withdrawn"]) == (0, 0)
