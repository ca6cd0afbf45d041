"""Draws a graph of steps: as text for a terminal, and as a Mermaid flowchart. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from loom_common.domain.section import said
from loom_common.domain.steps.asking import RESOLVE
from loom_common.domain.steps.graph import Graph, graph_of
from loom_common.domain.steps.joining import JOIN, compared_pairs
from loom_common.domain.steps.lookups import ENRICH, key_fields, place_of
from loom_common.domain.steps.nodes import Node
from loom_common.domain.steps.operators import DEDUPE, GROUP, by_fields
from loom_common.domain.steps.queued.chains import OWN
from loom_common.domain.steps.resolving import listed
from loom_common.domain.values.urls import redacted
from loom_common.flow import step_queue

_SHAPES = {"filter": ("{{", "}}"), "router": ("{", "}"), GROUP: ("[(", ")]")}
_LONGEST = 48


def levels(graph: Graph) -> list[list[Node]]:
    """Return the steps by the moment at which they can begin: those of one list wait for none of the same list."""
    depth: dict[str, int] = {}
    found: list[list[Node]] = []
    for node in graph.order:
        depth[node.name] = max((depth[each] + 1 for each in graph.before[node.name]), default=0)
        while len(found) <= depth[node.name]:
            found.append([])
        found[depth[node.name]].append(node)
    return found


def as_text(steps: Sequence[Any], counts: Mapping[str, int] | None = None) -> Iterator[str]:
    """Yield the lines of a drawing: steps that begin at the same moment stand between the same lines. `counts` holds
    how many records each step saw, and how many took each branch, by the name of the branch."""
    graph = graph_of(steps)
    width = max((len(node.name) for node in graph.nodes), default=0)
    kinds = max((len(node.kind) for node in graph.nodes), default=0)
    mark = len("source") // 2
    yield "source"
    for level in levels(graph):
        yield f"{' ' * mark}|"
        for at, node in enumerate(level):
            corner = "+" if at == 0 or at == len(level) - 1 else "|"
            line = f"{' ' * mark}{corner}-- {node.name:<{width}}  {node.kind:<{kinds}}  {_told(node, steps[node.at])}"
            yield f"{line}{_counted(node, counts)}".rstrip()
    yield f"{' ' * mark}|"
    yield "output"


def as_mermaid(steps: Sequence[Any], counts: Mapping[str, int] | None = None) -> Iterator[str]:
    """Yield the lines of a Mermaid flowchart."""
    graph = graph_of(steps)
    yield "flowchart TD"
    yield "    source([source])"
    for node in graph.order:
        begin, end = _SHAPES.get(node.kind, ("[", "]"))
        what = _what(steps[node.at])
        told = (node.name, what, _queue(steps[node.at]), _counted(node, counts).strip())
        label = "<br/>".join(_escaped(each) for each in told if each)
        yield f'    {_id(node.name)}{begin}"{label}"{end}'
    for node in graph.order:
        needed = {need.step for need in node.needs}
        arrows = [(need.step, need.branch) for need in node.needs]
        arrows += [(each, None) for each in graph.before[node.name] if each not in needed]
        for step, branch in arrows or [("source", None)]:
            label = "" if branch is None else f"|{_escaped(branch)}|"
            origin = "source" if step == "source" and not arrows else _id(step)
            yield f"    {origin} -->{label} {_id(node.name)}"
    yield "    output([output])"
    for node in graph.last:
        yield f"    {_id(node.name)} --> output"


def _told(node: Node, step: Any) -> str:
    """Return what a step needs and does, in one line."""
    needs = ", ".join(map(str, node.needs))
    when = f"when {_short(node.when)}" if node.when else ""
    return "  ".join(each for each in (_what(step), when, _queue(step), f"<- {needs}" if needs else "") if each)


def _queue(step: Any) -> str:
    """Return the queue of a step that has one of its own."""
    return f"queue {step_queue(said(step, 'name'))}" if said(step, "queue") == OWN else ""


def _what(step: Any) -> str:
    """Return what a step is made of: a model, a scorer, a function, an expression, or the branches of a router."""
    routes, otherwise = said(step, "routes"), said(step, "otherwise")
    if isinstance(routes, Mapping):
        named = ", ".join([*map(str, routes), *([otherwise] if isinstance(otherwise, str) else [])])
        return f"by {said(step, 'by')}: {named}" if said(step, "by") else f"to {named}"
    if said(step, "type") in (GROUP, DEDUPE):
        named = ", ".join(by_fields(step))
        return f"by {named}" if named else "all records"
    if said(step, "type") == ENRICH:
        by = ", ".join(key_fields(step))
        return f"{_short(redacted(place_of(step) or ''))}{f' by {by}' if by else ''}"
    if said(step, "type") == JOIN:
        pairs = ", ".join(
            field if field == column else f"{field} = {column}" for _, field, column in compared_pairs(step)
        )
        return _short(f"{redacted(str(said(step, 'source')))} by {pairs}{_asked(step)}")
    if said(step, "type") == RESOLVE:
        return _short(f"by {', '.join(listed(step, 'compare'))}{_asked(step)}")
    for key in ("where", "model", "scorer", "function"):
        value = said(step, key)
        if isinstance(value, str):
            return _short(value)
    return ""


def _asked(step: Any) -> str:
    """Return the models that a step asks, of which one gives vectors and one decides."""
    embedding = said(step, "embedding")
    models = (embedding if isinstance(embedding, str) else said(embedding, "model"), said(step, "model"))
    return "".join(f", {each}" for each in models if isinstance(each, str))


def _counted(node: Node, counts: Mapping[str, int] | None) -> str:
    if counts is None:
        return ""
    branches = ", ".join(f"{each} {counts.get(f'{node.name}.{each}', 0):,}" for each in node.branches)
    return f"  [{counts.get(node.name, 0):,}{f': {branches}' if branches else ''}]"


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def _id(name: str) -> str:
    """Return a name that no word of Mermaid is, and that no two steps share."""
    return f"step_{name.replace('_', '__').replace('-', '_m')}"


def _escaped(text: str) -> str:
    return (
        text.replace("&", "#amp;")
        .replace('"', "#quot;")
        .replace("<", "#lt;")
        .replace(">", "#gt;")
        .replace("|", "#124;")
    )
