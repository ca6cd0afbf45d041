"""Derives from the steps of a transform which fields each makes and sees, and what all of them make of a record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from loom_common.domain.model_options.asking import probability_field
from loom_common.domain.model_options.scorers import fields_of
from loom_common.domain.model_options.several_calls import agreement_field
from loom_common.domain.schema.output import TEXT, json_schema
from loom_common.domain.section import items, said
from loom_common.domain.steps.asking import RESOLVE
from loom_common.domain.steps.checking.mistakes import fields_read
from loom_common.domain.steps.functions.aggregates import SCHEMAS
from loom_common.domain.steps.graph import graph_of
from loom_common.domain.steps.joining import joined_fields
from loom_common.domain.steps.lookups import ENRICH, wanted_fields
from loom_common.domain.steps.nodes import GATHER
from loom_common.domain.steps.operators import (
    GROUP,
    OPENING,
    OPERATORS,
    aggregates,
    by_fields,
    number_field,
    part_field,
)
from loom_common.domain.steps.registered.adding import inputs_by_step
from loom_common.domain.steps.resolving import blocks_of, listed, own_fields
from loom_common.domain.values.fields import Fields

Made = Mapping[str, Mapping[str, Any] | None]
"""Holds the fields of an output with the JSON Schema of each; None for one whose type nobody declares."""


def made_by(step: Any) -> Made | None:  # noqa: C901 - one case for each kind
    """Return what is known of the fields that a step makes, as written or as a model; None where nothing is."""
    kind, spec = said(step, "type"), said(step, "output")
    if kind in OPENING:
        return _of_parts(step)
    if kind == GROUP:
        number = {number_field(step): {"type": "integer", "minimum": 1}} if said(step, "size") is not None else {}
        folded = {name: SCHEMAS[function] for name, (function, _) in aggregates(step).items()}
        return {**dict.fromkeys(by_fields(step)), **folded, **number}
    if kind == GATHER:
        gathered = said(step, "fields")
        return {str(name): {"type": "array"} for name in gathered} if isinstance(gathered, Mapping) else {}
    if kind in OPERATORS or kind == "passthrough":  # of those that are left, only a join has fields
        return dict.fromkeys(joined_fields(step))
    if spec == TEXT or (kind == "ai" and spec is None):
        return {TEXT: {"type": "string"}, **_added(step)}
    if isinstance(spec, Mapping):
        try:
            schema = json_schema(spec)
        except ValueError:
            return None
        properties = schema.get("properties")
        return {**properties, **_added(step)} if isinstance(properties, Mapping) and properties else None
    if kind == ENRICH:
        return dict.fromkeys(wanted_fields(step))
    if kind == "metrics":
        return {name: {"type": ["number", "null"]} for name in items(step, "metrics") if isinstance(name, str)}
    if kind == "embed":
        return {str(said(step, "into") or "embedding"): {"type": "array", "items": {"type": "number"}}}
    return fields_of(step) if kind == "scorer" else None


def _of_parts(step: Any) -> Made | None:
    """Return the fields of the records that a step makes of one. None stands for those of entities where all records
    go on, with the fields that they have."""
    if said(step, "type") != RESOLVE:
        part = {"type": "string"} if said(step, "type") == "split" else None
        return {part_field(step): part, number_field(step): {"type": "integer", "minimum": 0}}
    if said(step, "fields") is None:
        return None
    own = own_fields(step)
    numbers = {own[each]: {"type": "integer", "minimum": 0} for each in ("block", "number", "uncompared")}
    folded = {name: SCHEMAS[function] for name, (function, _) in aggregates(step).items()}
    return {**dict.fromkeys(listed(step, "block")), **folded, own["id"]: {"type": "string"}, **numbers}


def _added(step: Any) -> dict[str, Mapping[str, Any]]:
    """Return the fields that Loom adds to what a model answered: the share of its answers that agreed, and how probable
    the answer was to it."""
    if said(step, "type") != "ai":
        return {}
    added: dict[str, Mapping[str, Any]] = {}
    if (agreement := agreement_field(step)) is not None:
        added[agreement] = {"type": "number", "minimum": 0, "maximum": 1}
    if (probability := probability_field(step)) is not None:
        added[probability] = {"type": ["number", "null"], "minimum": 0, "maximum": 1}
    return added


def is_sealed(step: Any) -> bool:
    """Tell whether a step makes the fields that `made_by` knows, and no other."""
    made, spec = made_by(step), said(step, "output")
    if made is None or not isinstance(spec, Mapping):
        return made is not None
    return json_schema(spec).get("additionalProperties") is False


def number_fields(transform: Any) -> tuple[str, ...]:
    """Return the fields that hold the number of a record among those that a step made of one; none where no such record
    leaves the transform."""
    steps = items(transform, "steps")
    if not steps:
        return ()
    graph = graph_of(steps)
    last = [graph.by_name[each] for each in graph.groups[-1:]]
    numbered = (node for node in last if said(steps[node.at], "size") is not None)
    return tuple(number_field(steps[node.at]) for node in (*numbered, *graph.deriving))


def group_fields(transform: Any) -> tuple[str, ...] | None:
    """Return the fields that tell the groups apart whose records leave the transform, as written or as a model; None
    where no step groups records."""
    steps = items(transform, "steps")
    graph = graph_of(steps)
    return tuple(by_fields(steps[graph.by_name[graph.groups[-1]].at])) if graph.groups else None


def grouped_fields(transform: Any) -> Fields | None:
    """Return the fields of the records that the last step makes which groups some; None where no step does."""
    steps = items(transform, "steps")
    graph = graph_of(steps)
    if not graph.groups:
        return None
    made = made_by(steps[graph.by_name[graph.groups[-1]].at])
    return Fields(tuple(made or ()), certain=True)


def merged_schema(steps: Sequence[Any]) -> Mapping[str, Any] | None:
    """Return the JSON Schema of what all steps make of a record, field by field; None where nobody knows it. Required
    is what every record gets."""
    graph = graph_of(steps)
    properties: dict[str, Any] = {}
    required: list[str] = []
    for node in graph.leading_out:
        step = steps[node.at]
        made = made_by(step)
        if made is None or not is_sealed(step):
            return None
        always = node.when is None and said(step, "criticality") != "optional" and graph.is_on_every_way(node.name)
        if node.opens and part_field(step) != (unnested := str(said(step, "field"))):
            properties.pop(unnested, None)
            required = [each for each in required if each != unnested]
        for field, schema in made.items():
            properties[field] = dict(schema or {})
            if (always or (node.opens and field == number_field(step))) and field not in required:
                required.append(field)
    if not properties:
        return None
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def made_by_steps(steps: Sequence[Any], source: Fields | None) -> Fields | None:
    """Return the fields that all steps make; those of the source where none makes any, and None where nobody knows."""
    graph = graph_of(steps)
    if all(made_by(step) == {} for step in steps):
        return source
    names: list[str] = []
    for node in graph.leading_out:
        made = made_by(steps[node.at])
        if made is None or not is_sealed(steps[node.at]):
            return None
        names += made
    return Fields(tuple(dict.fromkeys(names)), certain=True)


def seen_by_steps(steps: Sequence[Any], source: Fields | None) -> dict[int, Fields | None]:
    """Return the fields that each step sees, by its place: those of the source, or of a group, and those of the steps
    before it; None where nobody knows them."""
    graph = graph_of(steps)
    nothing = Fields((), certain=True)
    seen: dict[int, Fields | None] = {}
    for node in graph.nodes:
        # What a pair of records is asked by are the fields before its block was made.
        seer = blocks_of(steps[node.at]) if node.kind == RESOLVE else node.name
        above = [steps[graph.by_name[name].at] for name in graph.visible.get(seer, ())]
        first = nothing if graph.grouped_by(seer) else source
        if first is None or any(not is_sealed(step) for step in above):
            seen[node.at] = None
            continue
        made = [field for step in above for field in made_by(step) or ()]
        seen[node.at] = Fields(tuple(dict.fromkeys((*first.names, *made))), first.certain)
    return seen


def read_by_steps(steps: Sequence[Any]) -> Iterator[tuple[tuple[str | int, ...], str, int]]:
    """Yield the fields that the keys of steps name, with their places, which begin at the list, and that of the step.
    Those that another step makes are left out: that it has to come before is told with the graph."""
    made = {
        field
        for step in steps
        for field in made_by(step) or ()
        if said(step, "type") != GROUP or field not in by_fields(step)
    }
    for path, name in fields_read(graph_of(steps), steps, inputs_by_step(steps)):
        if name not in made:
            yield path, name, int(path[0])
