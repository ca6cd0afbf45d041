"""Runs pipelines whose outputs are scored again, and says by which evaluators."""

from __future__ import annotations

from loom.project.config import LoomConfig
from loom.project.definition_file import load
from loom.rescoring.request import Asked
from loom.session import open_session
from support.clients import ended, request_of
from support.projects import Project

CODE = """
def judged(record):
    return {"score": int(record["stars"])}
"""
STARS = {"type": "range", "name": "stars", "field": "score", "min": 2, "max": 9, "threshold": 1.0}
"""Lets the records pass that `CODE` gives two stars or more."""


def asked_by(made: Project, *evaluators, **section) -> Asked:
    """Return what `--with FILE` asks for, of a file whose evaluators are these."""
    other = Project(made.folder, made.path("other.yaml"), made.definition)
    other.say(evaluate={"evaluators": list(evaluators), **section})
    return Asked(load(other.pipeline))


async def run(made: Project, config: LoomConfig, **changes):
    """Run a pipeline in this process, and return its report."""
    async with open_session(config, cluster=False) as session:
        return (await ended(session, (await session.start(request_of(made, config, **changes))).run_id)).report
