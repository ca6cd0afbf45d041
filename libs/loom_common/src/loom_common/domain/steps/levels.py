"""Finds what is wrong with steps that make several records of one, and with those that gather them again. Pure.

A record that a step made and that was kept back is run again from that step on. Every other step therefore comes before
or after it, unless it is on another branch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

from loom_common.domain.section import Mistake, mistake, said
from loom_common.domain.steps.graph import GATHER, Graph, Node


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
