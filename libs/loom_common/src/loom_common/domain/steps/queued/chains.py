"""Cuts a graph of steps into chains. Steps of one chain are taken in one process, without a message in between; a step
with a queue of its own is a chain of its own. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loom_common.domain.section import items, said
from loom_common.domain.steps.graph import Graph, graph_of
from loom_common.domain.steps.nodes import Node

OWN = "own"


@dataclass(frozen=True, slots=True)
class Chain:
    """Holds steps that are taken in one process."""

    steps: tuple[str, ...]
    """Names the steps in the order of the graph."""
    queue: str | None = None
    """Names the step whose own queue they come over, which is then the only one; None for the transformers' queue."""


def own_queues(steps: Sequence[Any]) -> tuple[str, ...]:
    """Return the names of the steps, as written or as models, that have a queue of their own, in their order."""
    graph = graph_of(steps)
    return tuple(node.name for node in graph.order if said(steps[node.at], "queue") == OWN)


def own_queues_in(definition: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the steps of a definition, as written, that have a queue of their own."""
    return own_queues(items(said(definition, "transform"), "steps"))


def chains_of(graph: Graph, own: Collection[str]) -> tuple[Chain, ...]:
    """Return the chains in the order in which a batch goes through them. The first one is of the transformers' queue,
    over which every batch comes, and has no steps where nothing comes before those with a queue.

    Steps with a queue that do not wait for each other follow one another, so that a batch is sent as seldom as may
    be."""
    return tuple(_chains(graph, own)) or (Chain(()),)


def _chains(graph: Graph, own: Collection[str]) -> Iterator[Chain]:
    taken, left = set[str](), list(graph.order)
    first = True
    while left:
        queued = next((node for node in left if node.name in own and _may_begin(graph, node, taken)), None)
        if queued is not None and not first:
            chain = Chain((queued.name,), queued.name)
        else:
            chain = Chain(tuple(_chained(graph, left, own, taken)))
        first = False
        taken.update(chain.steps)
        left = [node for node in left if node.name not in taken]
        yield chain


def _may_begin(graph: Graph, node: Node, taken: Collection[str]) -> bool:
    return all(each in taken for each in graph.before[node.name])


def _chained(graph: Graph, left: Sequence[Node], own: Collection[str], taken: Collection[str]) -> Iterator[str]:
    """Yield the steps that can be taken before the next one with a queue, each after those that it waits for."""
    done = set(taken)
    for node in left:
        if node.name not in own and _may_begin(graph, node, done):
            done.add(node.name)
            yield node.name
