"""Orders steps by what they need: which come before which, which branch of which router leads to them, and what they
see of each other. Pure; of a definition with mistakes it knows what can be known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from loom_common.domain.steps.keys import PHASES
from loom_common.domain.steps.nodes import GATHER, Node, nodes_of
from loom_common.domain.steps.operators import GROUP

Way = frozenset[tuple[str, str]]
"""Holds choices of routers, each a router with a branch, all of which a record has to take."""
Ways = frozenset[Way]
_ANYWHERE: Ways = frozenset([Way()])
_MOST_WAYS = 256
"""With more ways to a step than this, it counts as one that every record may take."""


@dataclass(frozen=True, slots=True)
class Level:
    """Names the steps of which each made several records of one, the last of them the one by which a record was
    made."""

    before: tuple[str, ...]
    """Names the steps that made the records that the step is given."""
    after: tuple[str, ...]
    """Names the steps that made the records that the step gives on."""
    groups: bool = False
    """Tells whether the step makes one record of many."""

    @property
    def worked_on(self) -> tuple[str, ...]:
        """Return those that made the records that end, pass or fail in the step."""
        return self.before if self.groups else min(self.before, self.after, key=len)


@dataclass(frozen=True)
class Graph:
    """Holds the steps in the order of the file."""

    nodes: tuple[Node, ...]

    @cached_property
    def by_name(self) -> Mapping[str, Node]:
        """Return the steps by their names; of two with the same name the first."""
        found: dict[str, Node] = {}
        for node in self.nodes:
            found.setdefault(node.name, node)
        return found

    @cached_property
    def before(self) -> Mapping[str, tuple[str, ...]]:
        """Return the steps that have to end before each begins: those that it needs, and those of earlier phases."""
        ranks = {node.name: PHASES.index(node.phase) for node in self.nodes if node.phase in PHASES}
        found: dict[str, tuple[str, ...]] = {}
        for node in self.nodes:
            needed = [need.step for need in node.needs if need.step in self.by_name and need.step != node.name]
            rank = ranks.get(node.name)
            # One that a step of an earlier phase needs is a mistake of its own, and no circle.
            needed = [each for each in needed if rank is None or ranks.get(each, rank) <= rank]
            if rank is not None:
                needed += [each.name for each in self.nodes if ranks.get(each.name, rank) < rank]
            found[node.name] = tuple(dict.fromkeys(needed))
        return found

    @cached_property
    def sorted(self) -> tuple[tuple[Node, ...], list[str]]:
        """Return the steps in an order in which each comes after those before it, and a circle where there is one;
        steps in and after circles are left out."""
        order: list[Node] = []
        left = {node.name: set(self.before[node.name]) for node in self.by_name.values()}
        while ready := [node for node in self.by_name.values() if node.name in left and not left[node.name]]:
            ready.sort(key=lambda node: node.at)
            for node in ready:
                del left[node.name]
            done = {node.name for node in ready}
            for needed in left.values():
                needed.difference_update(done)
            order += ready
        return tuple(order), _circle(left)

    @cached_property
    def order(self) -> tuple[Node, ...]:
        """Return the steps, each after those before it."""
        return self.sorted[0]

    @cached_property
    def ranks(self) -> Mapping[str, int]:
        """Return the place of each step in the order."""
        return {node.name: rank for rank, node in enumerate(self.order)}

    @cached_property
    def ancestors(self) -> Mapping[str, frozenset[str]]:
        """Return all steps that come before each, also by way of others: it sees their outputs."""
        found: dict[str, frozenset[str]] = {}
        for node in self.order:
            direct = self.before[node.name]
            found[node.name] = frozenset(direct).union(*(found[each] for each in direct))
        return found

    @cached_property
    def paths(self) -> Mapping[str, Ways]:
        """Return the choices of routers that lead to each step, of which any will do; none where nothing leads to
        it."""
        found: dict[str, Ways] = {}
        for node in self.order:
            ways = _ANYWHERE
            if plain := [need.step for need in node.needs if need.branch is None and need.step in found]:
                ways = frozenset[Way]().union(*(found[step] for step in plain))
            for router, branches in node.choices.items():
                leading = found.get(router, _ANYWHERE)
                taken = [frozenset([(router, branch)]) for branch in branches]
                ways = frozenset(way | led | choice for way in ways for led in leading for choice in taken)
            found[node.name] = self._shortest({way for way in ways if _is_possible(way)})
        return found

    def _shortest(self, ways: set[Way]) -> Ways:
        """Leave out what does not matter: a choice all of whose branches lead on, and ways that others contain."""
        for router, branches in ((node.name, set(node.branches)) for node in self.nodes if node.branches):
            by_rest: dict[Way, set[str]] = {}
            for way in ways:
                for choice in way:
                    if choice[0] == router:
                        by_rest.setdefault(way - {choice}, set()).add(choice[1])
            ways |= {rest for rest, taken in by_rest.items() if taken == branches}
        if len(ways) > _MOST_WAYS:
            return _ANYWHERE
        return frozenset(way for way in ways if not any(other < way for other in ways))

    def related(self, one: str, other: str) -> bool:
        """Tell whether one of two steps comes before the other."""
        return one in self.ancestors.get(other, ()) or other in self.ancestors.get(one, ())

    def precedes(self, one: str, other: str) -> bool:
        """Tell whether a step comes before the other."""
        return one in self.ancestors.get(other, ())

    def exclusive(self, one: str, other: str) -> bool:
        """Tell whether no record takes both steps, because they are on different branches."""
        pairs = ((way, more) for way in self.paths.get(one, _ANYWHERE) for more in self.paths.get(other, _ANYWHERE))
        return all(not _is_possible(way | more) for way, more in pairs)

    def is_on_every_way(self, step: str) -> bool:
        """Tell whether every record takes a step, as far as routers decide."""
        return self.paths.get(step) == _ANYWHERE

    @cached_property
    def levels(self) -> Mapping[str, Level]:
        """Return for each step what records it is about: those of the source, or those that steps before it made."""
        found: dict[str, Level] = {}
        closed: dict[str, frozenset[str]] = {}
        for node in self.order:
            above = self.ancestors[node.name]
            shut = frozenset[str]().union(*(closed[name] for name in above))
            opened = (name for name in above if self.by_name[name].opens and name not in shut)
            before = tuple(sorted(opened, key=self.ranks.__getitem__))
            ends = before if node.kind == GROUP else before[-1:] if node.kind == GATHER else ()
            after = (*before, node.name) if node.opens else before[: len(before) - len(ends)]
            found[node.name] = Level(before, after, node.kind == GROUP)
            closed[node.name] = shut | frozenset(ends)
        return found

    @cached_property
    def gathers(self) -> Mapping[str, str]:
        """Return by the step that makes several records of one the step that gathers these; the first where several
        do."""
        found: dict[str, str] = {}
        for node in self.order:
            if node.kind == GATHER and (before := self.levels[node.name].before):
                found.setdefault(before[-1], node.name)
        return found

    @property
    def deriving(self) -> tuple[Node, ...]:
        """Return the steps that make several records of one which nothing gathers or groups again, in their order:
        records that leave the steps are made there."""
        opening = (node for node in self.order if node.opens and node.name not in self.gathers)
        return tuple(node for node in opening if not any(self.precedes(node.name, each) for each in self.groups))

    @property
    def leading_out(self) -> tuple[Node, ...]:
        """Return the steps that are about records which leave the steps, in their order: those whose records are
        gathered or grouped later are left out."""
        inside = [node for node in self.order if any(each in self.gathers for each in self.levels[node.name].after)]
        return tuple(node for node in self.order if node not in inside and self.group_after(node.name) is None)

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """Return the steps that make one record of many, in their order. Each comes after the one before it."""
        return tuple(node.name for node in self.order if node.kind == GROUP)

    def group_after(self, step: str | None) -> str | None:
        """Return the next step that groups the records which `step` made, or those of the source; None for none."""
        return next((each for each in self.groups if step is None or self.precedes(step, each)), None)

    @cached_property
    def has_parts(self) -> bool:
        """Tell whether a step makes several records of one."""
        return any(node.opens for node in self.nodes)

    def comes_by(self, one: str, other: str) -> bool:
        """Tell whether a step is another one, or comes before it."""
        return one == other or one in self.ancestors.get(other, ())

    @cached_property
    def visible(self) -> Mapping[str, tuple[str, ...]]:
        """Return for each step those whose fields it sees, in their order: those before it, without those whose records
        were gathered or grouped since."""
        found: dict[str, tuple[str, ...]] = {}
        for node in self.order:
            level = set(self.levels[node.name].before)
            above = self.ancestors[node.name].difference(*(self.ancestors[each] for each in self.grouped_by(node.name)))
            found[node.name] = tuple(
                each.name
                for each in self.order
                if each.name in above and level.issuperset(self.levels[each.name].after)
            )
        return found

    def grouped_by(self, step: str) -> tuple[str, ...]:
        """Return the steps before one that make one record of many, in their order."""
        return tuple(each for each in self.groups if self.precedes(each, step))

    @property
    def last(self) -> tuple[Node, ...]:
        """Return the steps that no other one waits for."""
        awaited = {name for names in self.before.values() for name in names}
        return tuple(node for node in self.nodes if node.name not in awaited)


def graph_of(steps: Sequence[Any]) -> Graph:
    """Return the graph of steps, as written or as models. What is no step, or has no name, is left out."""
    return Graph(tuple(nodes_of(steps)))


def _is_possible(way: Way) -> bool:
    return len({router for router, _ in way}) == len(way)


def _circle(left: Mapping[str, set[str]]) -> list[str]:
    """Return one circle among steps that wait for each other, beginning with its first; empty where there is none."""
    if not left:
        return []
    way = [next(iter(left))]
    while True:
        after = next((each for each in sorted(left[way[-1]]) if each in left), None)
        if after is None:  # it waits for nothing that waits
            return []
        if after in way:
            return way[way.index(after) :]
        way.append(after)
