"""Checks the parameters that a definition declares, and those that its query and its prompt use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loom.project.prompt_files import PromptText
from loom.project.yaml_positions import Document
from loom_common.domain.section import items, said
from loom_common.domain.steps.joining import JOIN
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
    """Return parameters that are declared, and that nothing of a run looks at: neither the source nor the destination,
    nor the prompt. Returns none of them where that cannot be known, as where a function of the user's is the source."""
    declared = _declared(definition)
    if not declared or _may_look_at_all(definition):
        return []
    used = _in_ends(definition)
    if prompt is not None:
        from loom_common.domain.prompts.prompt_check import params_of

        for template in (prompt, *prompt.beside):
            found = params_of(template.text)
            if found is None:
                return []
            used |= found
    return [name for name in declared if name not in used]


def _in_ends(definition: Mapping[str, Any]) -> set[str]:
    """Return the parameters that the query of a database or the options of an API name, in source or destination."""
    used = set[str]()
    joins = [step for step in items(said(definition, "transform"), "steps") if said(step, "type") == JOIN]
    for query in (said(each, "query") for each in (said(definition, "extract"), *joins)):
        if not isinstance(query, str):
            continue
        from loom_connectors.sql.parameters import query_params

        used |= query_params(query)
    written = [said(said(definition, section), "options") for section in ("extract", "load")]
    written += [said(each, "options") for each in joins]
    if any(written):
        from loom_connectors.registry import texts_in
        from loom_connectors.rest.http.templates import named_in

        used |= {name for options in written for text in texts_in(options) for name in named_in(text)}
    return used


def _may_look_at_all(definition: Mapping[str, Any]) -> bool:
    """Tell whether the code of a function or of a plugin gets the parameters, which may use any of them. What a
    credential leads to, nobody knows where no query says that it is a database."""
    from loom_common.plugins.kinds import Kind
    from loom_connectors.registry import gets_params

    extract, load = said(definition, "extract"), said(definition, "load")
    source, destination = said(extract, "source"), said(load, "destination")
    if isinstance(source, str) and source.startswith("${") and said(extract, "query") is None:
        return True
    return gets_params(source, said(extract, "options"), Kind.SOURCE) or gets_params(
        destination, said(load, "options"), Kind.DESTINATION
    )


def _declared(definition: Mapping[str, Any]) -> list[str]:
    params = said(definition, "params")
    return [str(name) for name in params] if isinstance(params, Mapping) else []
