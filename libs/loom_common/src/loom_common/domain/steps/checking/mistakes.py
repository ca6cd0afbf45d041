"""Finds what is wrong with a graph of steps, all at once, and where it is written. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

from loom_common.domain.section import Mistake, mistake, said
from loom_common.domain.steps.asking import RESOLVE
from loom_common.domain.steps.checking.levels import level_mistakes
from loom_common.domain.steps.expressions import Comparison, ExpressionMistake, comparisons, constant, expression
from loom_common.domain.steps.graph import Graph, graph_of
from loom_common.domain.steps.joining import JOIN, compared_pairs
from loom_common.domain.steps.keys import PHASES
from loom_common.domain.steps.lookups import looked_up_by
from loom_common.domain.steps.nodes import GATHER, Need, Node
from loom_common.domain.steps.operators import DEDUPE, GROUP, aggregates, by_fields
from loom_common.domain.steps.resolving import WHOLE, listed
from loom_common.domain.values.near import closest

Made = Mapping[str, Mapping[str, Any] | None]
"""Holds the fields that a step makes with the JSON Schema of each; None for one whose type nobody declares."""
Inputs = Mapping[str, Sequence[str]]
"""Holds by step the fields that it reads without naming them."""
_Place = tuple[str | int, ...]
_NONE: Inputs = {}
_READING = {
    "scorer": ("field",), "embed": ("field",), "router": ("by",), "unnest": ("field",), "split": ("field",)
}  # fmt: skip
"""Names the keys that name a field which the step reads, by its type."""


def step_mistakes(steps: Sequence[Any], made: Mapping[str, Made | None], inputs: Inputs = _NONE) -> Iterator[Mistake]:
    """Yield the mistakes in the graph of `steps`, whose places begin at the list. `made` says by step what is declared
    of its output; None where nothing is. `inputs` says which fields steps read that no key of theirs names."""
    graph = graph_of(steps)
    yield from _names(graph)
    for node in graph.nodes:
        for at, need in enumerate(node.needs):
            if (wrong := _need(graph, node, need)) is not None:
                where = (node.at, "needs") if isinstance(said(steps[node.at], "needs"), str) else (node.at, "needs", at)
                yield mistake(where, "unknown_step", wrong, str(need))
    if circle := graph.sorted[1]:
        first = graph.by_name[circle[0]]
        ways = " -> ".join([*circle, circle[0]])
        yield mistake((first.at, "needs"), "circle", f"steps that do not wait for each other ({ways})", ways)
    for node in graph.order:
        if not graph.paths[node.name] and all(_need(graph, node, need) is None for need in node.needs):
            expected = "steps that one record can take: no choice of branches leads to all of these"
            yield mistake((node.at, "needs"), "unreachable", expected, ", ".join(map(str, node.needs)))
    for node in graph.nodes:
        yield from _expressions(node, steps[node.at], _seen(graph, node, made), graph, made, inputs)
    yield from _twice(graph, made)
    if not graph.sorted[1]:
        yield from level_mistakes(graph, steps)


def fields_read(graph: Graph, steps: Sequence[Any], inputs: Inputs = _NONE) -> Iterator[tuple[_Place, str]]:
    """Yield the fields that the expressions and the other keys of steps name, with their places."""
    for node in graph.nodes:
        for place, text, _ in _written(node, steps[node.at]):
            try:
                yield from ((place, name) for name in expression(text).reads)
            except ExpressionMistake:
                continue
        yield from _keys(node, steps[node.at], inputs)
        if node.kind == RESOLVE:  # of these fields its group gives it the records
            yield from (((node.at, "compare"), name) for name in listed(steps[node.at], "compare"))


def _names(graph: Graph) -> Iterator[Mistake]:
    for node in graph.nodes:
        if graph.by_name[node.name].at != node.at:
            yield mistake((node.at, "name"), "same_name", "a name that no other step has", node.name)


def _need(graph: Graph, node: Node, need: Need) -> str | None:
    """Return what was expected in place of a need; None where it is right."""
    other = graph.by_name.get(need.step)
    if need.step == node.name:
        return "another step than itself"
    if other is None:
        near = closest(need.step, graph.by_name)
        hint = f"; did you mean {near}?" if near else ""
        return f"the name of a step ({', '.join(each for each in graph.by_name if each != node.name)}{hint})"
    if need.branch is not None and need.branch not in other.branches:
        if not other.branches:
            return f"`{need.step}` without a branch: it is no router"
        return f"a branch of {need.step}: {', '.join(f'{need.step}.{each}' for each in other.branches)}"
    if node.phase in PHASES and other.phase in PHASES and PHASES.index(other.phase) > PHASES.index(node.phase):
        return f"a step of the phase {node.phase} or an earlier one: {other.name} is of {other.phase}, which is later"
    return None


def _seen(graph: Graph, node: Node, made: Mapping[str, Made | None]) -> dict[str, Mapping[str, Any] | None]:
    """Return the fields that steps before this one are known to make."""
    seen: dict[str, Mapping[str, Any] | None] = {}
    visible = graph.visible.get(node.name, ())
    for each in graph.order:
        if each.name in visible:
            seen.update(made.get(each.name) or {})
    return seen


def _expressions(
    node: Node,
    step: Any,
    seen: Mapping[str, Mapping[str, Any] | None],
    graph: Graph,
    made: Mapping[str, Made | None],
    inputs: Inputs,
) -> Iterator[Mistake]:
    """Yield the mistakes in the expressions of a step, and in the fields that it reads."""
    for place, text, reached in _written(node, step):
        try:
            read = expression(text)
        except ExpressionMistake as error:
            yield mistake(place, "expression", str(error), text)
            continue
        if not reached or constant(read) is False:
            why = "it never is" if reached else "the branch above it takes every record"
            expected = f"an expression that can be true: {why}, so that nothing after it is reached"
            yield mistake(place, "unreachable", expected, text)
        for name in read.reads:
            yield from _out_of_sight(place, name, node, seen, graph, made)
        for each in comparisons(text):
            if (schema := seen.get(each.field)) is not None and (wrong := misfit(each, schema)) is not None:
                yield mistake(place, "field_type", wrong, text)
    for place, name in _keys(node, step, inputs):
        yield from _out_of_sight(place, name, node, seen, graph, made)
    by = said(step, "by")
    if isinstance(by, str) and node.branches and (schema := seen.get(by)) is not None:
        yield from _values(node, step, schema)


def _written(node: Node, step: Any) -> Iterator[tuple[_Place, str, bool]]:
    """Yield the expressions of a step with their places, and whether an earlier branch leaves them any record."""
    for key in ("when", "where"):
        text = said(step, key)
        if isinstance(text, str) and (key == "when" or node.kind == "filter"):
            yield (node.at, key), text, True
    routes, reached = said(step, "routes"), True
    for name, text in routes.items() if node.branches and said(step, "by") is None else ():
        if isinstance(text, str):
            yield (node.at, "routes", name), text, reached
            reached = reached and not _is_always_true(text)


def _keys(node: Node, step: Any, inputs: Inputs) -> Iterator[tuple[_Place, str]]:
    """Yield the fields that keys of a step name, with their places."""
    for key in _READING.get(node.kind, ()):
        if isinstance(name := said(step, key), str):
            yield (node.at, key), name
    yield from (((node.at, "type"), name) for name in inputs.get(node.name, ()))
    gathered = said(step, "fields")
    for into, name in gathered.items() if node.kind == GATHER and isinstance(gathered, Mapping) else ():
        if isinstance(name, str):
            yield (node.at, "fields", str(into)), name
    yield from (((node.at, *path), name) for path, name in looked_up_by(step))
    if node.kind == JOIN:
        for key, field, _ in compared_pairs(step):
            place = (node.at, key, field) if isinstance(said(step, key), Mapping) else (node.at, key)
            yield place, field
    if node.kind in (GROUP, DEDUPE):
        single = isinstance(said(step, "by"), str)
        yield from (((node.at, "by") if single else (node.at, "by", at), by) for at, by in enumerate(by_fields(step)))
        of = ((into, field) for into, (_, field) in aggregates(step).items() if field not in (None, WHOLE))
        yield from (((node.at, "fields", into), field) for into, field in of)


def _is_always_true(text: str) -> bool:
    try:
        return constant(expression(text)) is True
    except ExpressionMistake:
        return False


def _out_of_sight(
    place: _Place,
    name: str,
    node: Node,
    seen: Mapping[str, object],
    graph: Graph,
    made: Mapping[str, Made | None],
) -> Iterator[Mistake]:
    """Yield the mistake of reading what only a step makes that need not come before this one."""
    later = {each.name for each in graph.nodes if graph.comes_by(node.name, each.name)}
    makers = [each.name for each in graph.nodes if name in (made.get(each.name) or {}) and each.name not in later]
    if name in seen or not makers:
        return
    if groups := [each for each in graph.grouped_by(node.name) if graph.precedes(makers[0], each)]:
        expected = f"a field that {groups[-1]} gives the record of a group ({', '.join(made.get(groups[-1]) or ())})"
        yield mistake(place, "out_of_sight", expected, name)
        return
    expected = f"`needs: [{makers[0]}]` here, as only that step makes `{name}`; or a field of the source"
    yield mistake(place, "out_of_sight", expected, name)


def _values(node: Node, step: Any, schema: Mapping[str, Any]) -> Iterator[Mistake]:
    """Yield the branches for values that the field never has, and the values that have no branch."""
    values, routes = schema.get("enum"), said(step, "routes")
    if not isinstance(values, list):
        return
    told = set[str]()
    for name, written in routes.items():
        of_branch = written if isinstance(written, list) else [written]
        strange = [each for each in of_branch if each not in values]
        told |= {str(each) for each in of_branch}
        if strange:
            expected = f"values that `{said(step, 'by')}` can have: {', '.join(map(str, values))}"
            yield mistake((node.at, "routes", name), "unreachable", expected, ", ".join(map(str, strange)))
    left = [str(each) for each in values if str(each) not in told]
    if left and said(step, "otherwise") is None:
        expected = f"a branch for every value of `{said(step, 'by')}`, or `otherwise: BRANCH`; none is for"
        yield mistake((node.at, "routes"), "no_route", f"{expected} {', '.join(left)}", list(routes))


def misfit(each: Comparison, schema: Mapping[str, Any]) -> str | None:
    """Return what was expected of a comparison with a field of that schema; None where it fits, or nobody knows."""
    values, kinds = schema.get("enum"), schema.get("type")
    kinds = [kinds] if isinstance(kinds, str) else kinds if isinstance(kinds, list) else []
    if isinstance(values, list) and values and each.operator in ("==", "!="):
        if each.value not in values:
            return f"one of the values that `{each.field}` can have: {', '.join(map(str, values))}"
        return None
    if not kinds:
        return None
    is_text, is_truth = isinstance(each.value, str), isinstance(each.value, bool)
    fitting = {"string"} if is_text else {"boolean"} if is_truth else {"number", "integer"}
    if fitting.isdisjoint(kinds):
        written = "a text" if is_text else "a truth value" if is_truth else "a number"
        return f"a comparison that fits `{each.field}`, which is declared as {' or '.join(kinds)}, and not {written}"
    return None


def _twice(graph: Graph, made: Mapping[str, Made | None]) -> Iterator[Mistake]:
    """Yield the fields that two steps make which do not come after each other, and that a record may both take."""
    makers: dict[str, list[Node]] = {}
    for node in graph.nodes:
        for field in made.get(node.name) or {}:
            makers.setdefault(field, []).append(node)
    for field, nodes in makers.items():
        for one, other in combinations(nodes, 2):
            apart = graph.related(one.name, other.name) or graph.exclusive(one.name, other.name)
            if not apart and one.name != other.name:
                expected = f"another name for `{field}`, or `needs: [{one.name}]`: {one.name} makes it at the same time"
                yield mistake((other.at,), "made_twice", expected, field)
                break
