"""Holds what has become of the records of one batch in the steps so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from loom_common.domain.steps.graph import Graph
from loom_common.domain.steps.nodes import GATHER, Node
from loom_transformer.outcome import TransformOutcome
from loom_transformer.steps.rows import Rows

RAN, PASSED, OFF, ENDED, UNNESTED = range(5)
"""Say what became of a record in a step: it ran, it passed the record by, the step is about other records or another
branch, the record ended there or before, or others were made of it there or before."""


@dataclass(frozen=True, slots=True)
class BatchState:
    """Holds lists by step, in which each record has its number in `rows`. A list ends with the last record that there
    was when the step began."""

    graph: Graph
    rows: Rows
    state: dict[str, list[int]] = field(default_factory=dict)
    made: dict[str, list[TransformOutcome | None]] = field(default_factory=dict)
    after: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Holds what a record looks like after a step: its input with the outputs of all steps up to there."""
    branch: dict[str, list[str | None]] = field(default_factory=dict)
    ends: dict[int, tuple[int, TransformOutcome]] = field(default_factory=dict)
    """Holds the ends of records, each with the rank of its step in the order of the graph."""
    parts: dict[int, list[int]] = field(default_factory=dict)
    """Holds by record those that were made of it and leave the steps in its place."""

    def seen_as(self, at: int, step: str) -> int:
        """Return the record that stands for this one in the lists of a step."""
        return self.rows.seen_as(at, self.graph.levels[step].after) if self.rows.grown else at

    def end(self, step: str, at: int, outcome: TransformOutcome) -> None:
        """End a record in a step. Of parallel steps that end it, the first in the order of the graph counts."""
        self.state[step][at] = ENDED
        rank = self.graph.ranks[step]
        if at not in self.ends or rank < self.ends[at][0]:
            self.ends[at] = (rank, outcome)

    def makers(self, node: Node, level: Sequence[str]) -> list[str]:
        """Return the steps that make the fields which a step sees of records that the steps of `level` make."""
        levels = self.graph.levels
        return [name for name in self.graph.visible[node.name] if set(levels[name].after).issubset(level)]

    def view(self, steps: Sequence[str], at: int) -> dict[str, Any]:
        """Return a record with what these steps made of it."""
        record = self.rows.records[at]
        view = dict(record.input)
        for name in steps:
            if record.derived is not None and self.graph.comes_by(name, record.derived.step):
                continue
            made = self.made[name][self.seen_as(at, name)]
            if made is not None and made.output:
                view.update(made.output)
        return view

    def views(self, node: Node) -> list[dict[str, Any]]:
        """Return each record as a step sees it."""
        graph, rows = self.graph, self.rows
        before, level = graph.before[node.name], graph.levels[node.name]
        if node.kind == GATHER or len(before) > 1:
            makers = self.makers(node, level.after if node.kind == GATHER else level.before)
            return [self.view(makers, at) for at in range(len(rows))]
        if not before:
            return [record.input for record in rows.records]
        after, above = self.after[before[0]], graph.levels[before[0]].after
        return [after[rows.seen_as(at, above)] for at in range(len(rows))] if rows.grown else after
