"""Keeps each text of a prompt and of a context file as a version, under the user's name for it or its content hash."""

from __future__ import annotations

from typing import Any

from loom_common.domain.definition.transforms.ai import AiTransformConfig
from loom_common.domain.ontology.in_plan import path_in
from loom_common.domain.question.template import written_question
from loom_common.domain.run.plan import Plan
from loom_common.domain.steps.views import by_step
from loom_common.domain.values.ids import content_hash
from loom_coordinator.db.tables.runs import context_versions, prompt_versions
from loom_coordinator.db.unit_of_work import UnitOfWork


async def register_prompt(unit: UnitOfWork, plan: Plan) -> None:
    """Enter the prompt, or that of each step, as a version of its own, where it is not one already."""
    for transform in _asking(plan):
        text = written_question(plan, transform)
        row = _content_row(f"{plan.pipeline.name}/{transform.prompt[:200]}", transform.prompt_version, text, unit)
        row |= {"prompt_name": row.pop("name"), "template_engine": "jinja2", "required_context": transform.context}
        await unit.upsert(prompt_versions, [row], update=())


async def register_contexts(unit: UnitOfWork, plan: Plan) -> None:
    """Enter each context file and file of examples as a version of its own, where it is not one already."""
    contexts = []
    for path, text in contexts_of(plan).items():
        row = _content_row(f"{plan.pipeline.name}/{path[:200]}", None, text, unit)
        contexts.append(row | {"context_name": row.pop("name"), "format": path.rsplit(".", 1)[-1]})
    await unit.upsert(context_versions, contexts, update=())


def _content_row(name: str, version: str | None, text: str, unit: UnitOfWork) -> dict[str, Any]:
    return {
        "name": name,
        "version": version or version_of(text),
        "content_hash": content_hash(text.encode()),
        "content": text,
        "created_at": unit.now,
        "created_by": None,
    }


def prompt_version(plan: Plan) -> str | None:
    """Return the user's name for the prompt's version, else the beginning of its content hash; of several steps that
    of all their prompts together."""
    texts = [each.prompt_version or version_of(written_question(plan, each)) for each in _asking(plan)]
    return (texts[0] if len(texts) == 1 else version_of("\n".join(texts))) if texts else None


def _asking(plan: Plan) -> list[AiTransformConfig]:
    """Return the transform, or the steps of it, that asks a model with a prompt."""
    transforms = (alone.transform for _, alone in by_step(plan.pipeline))
    return [each for each in transforms if isinstance(each, AiTransformConfig)]


def contexts_of(plan: Plan) -> dict[str, str]:
    """Return the text of every context file and file of examples of the prompts, by path, and that of the ontology."""
    paths = [
        path for each in _asking(plan) for path in (*each.context, *([each.examples.file] if each.examples else []))
    ]
    ontology = path_in(plan.files)
    return {path: plan.files.get(path, "") for path in (*paths, *([ontology] if ontology else []))}


def version_of(text: str) -> str:
    """Return the name of a text's version: the beginning of its content hash."""
    return content_hash(text.encode())[:12]
