"""Checks the parameters that a definition declares, and those that its query and its prompt use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loom.project.prompt_files import PromptText
from loom.project.yaml_positions import Document
from loom_common.domain.section import said
from loom_common.errors import Problem

_QUERY = ("extract", "query")


def parameter_problems(document: Document, definition: Mapping[str, Any]) -> list[Problem]:
    """Return mistakes in how the query of `definition` names parameters. Those of a prompt are told with the prompt."""
    query = said(said(definition, "extract"), "query")
    if not isinstance(query, str):
        return []
    from loom_connectors.sql.parameters import query_mistakes  # most sources have no query

    problems = []
    for mistake in query_mistakes(query, _declared(definition)):
        before = query[: mistake.offset]
        line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
        place = document.locate_in(_QUERY, line, column)
        problems.append(Problem(_QUERY, mistake.found, mistake.expected, mistake.suggestion, *place))
    return problems


def unused(definition: Mapping[str, Any], prompt: PromptText | None) -> list[str]:
    """Return parameters that are declared, and that neither the query nor the prompt looks at."""
    query = said(said(definition, "extract"), "query")
    used = set[str]()
    if isinstance(query, str):
        from loom_connectors.sql.parameters import query_params

        used |= query_params(query)
    if prompt is not None:
        from loom_common.domain.prompts.prompt_check import params_of

        for template in (prompt, *prompt.beside):
            found = params_of(template.text)
            if found is None:
                return []
            used |= found
    return [name for name in _declared(definition) if name not in used]


def _declared(definition: Mapping[str, Any]) -> list[str]:
    params = said(definition, "params")
    return [str(name) for name in params] if isinstance(params, Mapping) else []
