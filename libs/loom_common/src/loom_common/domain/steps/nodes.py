"""Reads of each step what decides on its place among the others: what it needs, its phase and its branches. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loom_common.domain.section import items, said
from loom_common.domain.steps.operators import OPENING

GATHER = "gather"


@dataclass(frozen=True, slots=True)
class Need:
    """Names a step that another one needs, and the branch of a router that leads to it."""

    step: str
    branch: str | None = None

    @staticmethod
    def of(written: str) -> Need:
        """Read `classify`, or `triage.complaint`."""
        step, dot, branch = written.partition(".")
        return Need(step, branch if dot else None)

    def __str__(self) -> str:
        return self.step if self.branch is None else f"{self.step}.{self.branch}"


@dataclass(frozen=True, slots=True)
class Node:
    """Holds what the graph knows of one step."""

    name: str
    at: int
    """Holds the place of the step in the list `transform.steps`, from 0."""
    kind: str
    needs: tuple[Need, ...]
    phase: str | None
    when: str | None
    branches: tuple[str, ...] = ()
    """Names the branches of a router in their order, `otherwise` last."""

    @property
    def opens(self) -> bool:
        """Tell whether it makes several records of one."""
        return self.kind in OPENING

    @property
    def choices(self) -> dict[str, list[str]]:
        """Return the branches that lead to it, by router: a record takes it only on one of them of each."""
        found: dict[str, list[str]] = {}
        for need in self.needs:
            if need.branch is not None:
                found.setdefault(need.step, []).append(need.branch)
        return found


def nodes_of(steps: Sequence[Any]) -> Iterator[Node]:
    """Yield what the graph knows of steps, as written or as models. What is no step, or has no name, is left out."""
    for at, step in enumerate(steps):
        name = said(step, "name")
        if not isinstance(name, str):
            continue
        written = said(step, "needs")
        needs = [written] if isinstance(written, str) else items(step, "needs")
        phase, when = said(step, "phase"), said(step, "when")
        yield Node(
            name,
            at,
            str(said(step, "type")),
            tuple(Need.of(each) for each in needs if isinstance(each, str)),
            phase if isinstance(phase, str) else None,
            when if isinstance(when, str) else None,
            branches_of(step),
        )


def branches_of(step: Any) -> tuple[str, ...]:
    """Return the branches of a router; none of another step."""
    routes, otherwise = said(step, "routes"), said(step, "otherwise")
    if said(step, "type") != "router" or not isinstance(routes, Mapping):
        return ()
    named = [str(name) for name in routes]
    return tuple(dict.fromkeys([*named, otherwise] if isinstance(otherwise, str) else named))
