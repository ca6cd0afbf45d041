"""Finds what is wrong with steps that make several records of one, with those that gather them again, and with those
that make one record of many. Pure.

A record that a step made and that was kept back is run again from that step on. Every other step therefore comes before
or after it, unless it is on another branch; no record goes past a step that groups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

from loom_common.domain.section import Mistake, mistake, said
from loom_common.domain.steps.graph import Graph
from loom_common.domain.steps.nodes import GATHER, Node
from loom_common.domain.steps.operators import GROUP


def level_mistakes(graph: Graph, steps: Sequence[Any]) -> Iterator[Mistake]:
    """Yield the mistakes, whose places begin at the list of steps. The graph has no circles."""
    for node in graph.nodes:
        if node.kind == GATHER:
            yield from _gathering(graph, node)
        if node.opens and node.name in graph.gathers:
            for key in ("when", "criticality"):
                if (written := said(steps[node.at], key)) is not None and (key == "when" or written == "optional"):
                    expected = f"no `{key}: {written}`: {graph.gathers[node.name]} gathers what is made of every record"
                    yield mistake((node.at, key), "strange_for_type", expected, written)
        if node.opens:
            yield from _beside(graph, node)
        if node.kind != GATHER:
            yield from _needed(graph, node)
        if node.kind == GROUP:
            yield from _grouping(graph, node, steps[node.at])
        if groups := graph.grouped_by(node.name):
            yield from _after_groups(graph, node, groups[-1])


def _gathering(graph: Graph, node: Node) -> Iterator[Mistake]:
    """A gather needs steps that are about the records that one step made, and is the only one for these."""
    level = graph.levels[node.name].before
    if not level:
        yield mistake((node.at, "needs"), "nothing_to_gather", "steps after an `unnest` or a `split`", node.name)
        return
    if (first := graph.gathers[level[-1]]) != node.name:
        expected = f"one step that gathers what {level[-1]} makes; {first} does"
        yield mistake((node.at,), "gathered_twice", expected, node.name)
    for need in node.needs:
        if need.step in graph.levels and graph.levels[need.step].after != level:
            expected = f"steps that are about what {level[-1]} makes; {need.step} is not"
            yield mistake((node.at, "needs"), "nothing_to_gather", expected, str(need))


def _grouping(graph: Graph, node: Node, step: Any) -> Iterator[Mistake]:
    """Every record comes to a step that groups, and no step is beside it."""
    for key in ("when", "criticality"):
        if (written := said(step, key)) is not None and (key == "when" or written == "optional"):
            expected = f"no `{key}: {written}`: a `filter` before it says which records are grouped"
            yield mistake((node.at, key), "strange_for_type", expected, written)
    if not graph.is_on_every_way(node.name):
        expected = "steps that every record takes, so that all are grouped or filtered, e.g. of all branches"
        yield mistake((node.at, "needs"), "beside", expected, ", ".join(map(str, node.needs)))
        return
    for other in graph.nodes:
        if other.name != node.name and not graph.related(node.name, other.name):
            expected = f"`needs: [{node.name}]`, or a step that {node.name} needs, as that makes one record of many"
            yield mistake((other.at,), "beside", expected, other.name)
    if (opened := graph.levels[node.name].before) and (gather := graph.gathers.get(opened[-1])) is not None:
        expected = f"`{gather}`, which gathers the records of {opened[-1]}"
        yield mistake((node.at, "needs"), "gathered", expected, node.name)


def _after_groups(graph: Graph, node: Node, group: str) -> Iterator[Mistake]:
    """What the records of a group took before they were grouped decides nothing after it."""
    for at, need in enumerate(node.needs):
        if need.branch is not None and graph.precedes(need.step, group):
            expected = f"no branch of {need.step}: the records that {group} groups took different ones"
            yield mistake((node.at, "needs", at), "grouped", expected, str(need))


def _beside(graph: Graph, node: Node) -> Iterator[Mistake]:
    """Yield the steps that neither come before nor after one that makes records, although a record may take both. What
    is gathered again is open to no step beside its gather."""
    gather = graph.gathers.get(node.name)
    for other in graph.nodes:
        if other.name == node.name or graph.exclusive(node.name, other.name):
            continue
        if gather is None and not graph.related(node.name, other.name):
            expected = f"`needs: [{node.name}]`, or a step that {node.name} needs, as that makes several records of one"
            yield mistake((other.at,), "beside", expected, other.name)
        after = node.name in graph.ancestors.get(other.name, ())
        if gather is not None and after and other.name != gather and not graph.related(gather, other.name):
            expected = f"a step that {gather} needs, as it gathers the records of {node.name}"
            yield mistake((other.at,), "beside", expected, other.name)


def _needed(graph: Graph, node: Node) -> Iterator[Mistake]:
    """Yield what a step needs that is about other records than its other needs, or about records that were gathered."""
    level = graph.levels[node.name].before
    for one, other in combinations(level, 2):
        if not graph.related(one, other):
            expected = f"steps about the same records: {one} and {other} each make several records of one"
            yield mistake((node.at, "needs"), "beside", expected, ", ".join(map(str, node.needs)))
            return
    before = set(level)
    for at, need in enumerate(node.needs):
        over = set(graph.levels[need.step].after) - before if need.step in graph.levels else set[str]()
        for name in sorted(over):
            expected = f"`{graph.gathers[name]}`, which gathers the records of {need.step}"
            yield mistake((node.at, "needs", at), "gathered", expected, str(need))
