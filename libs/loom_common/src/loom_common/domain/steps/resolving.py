"""Defines the step `resolve`, which finds the records of a run that are the same entity, and the group that it is made
of: a step of type `group` brings the records of a block together."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from pydantic import Field, field_validator

from loom_common.domain.embedding_model import EmbeddingConfig
from loom_common.domain.section import Mistake, items, mistake, said
from loom_common.domain.steps.asking import ONLY_WITH_A_MODEL, RESOLVE, AskingKeys
from loom_common.domain.steps.functions.aggregates import FUNCTIONS, is_aggregate

WHOLE = "*"
"""The field of a group's function that stands for a whole record, with its id: `{id: ..., record: {...}}`."""
MEMBERS = "members"
"""The field in which the record of a block holds its records."""
_ALIKE = 0.85


class ResolveStep(AskingKeys):
    """Finds the records of a run that are the same entity, once all of them are there. Records with the same values of
    the fields `block` are compared in pairs, by a model or by how alike their texts are; what two pairs have in common
    is one entity. Each record gets the id of its entity, or one record is made of each."""

    type: Literal["resolve"]
    block: list[str] = Field(
        min_length=1,
        description="The fields whose values, as text, two records have in common that may be the same: `postcode`, or "
        "`[country, initial]`. Others are never compared.",
    )
    compare: list[str] = Field(min_length=1, description="The fields that are compared: `[name, street]`.")
    embedding: EmbeddingConfig | None = Field(
        None,
        description="The model by whose vectors of texts it is told how alike records are, in place of the parts of "
        "three characters that both have: `openai:text-embedding-3-small`. It finds records that say the same in other "
        "words.",
    )
    similarity: float | None = Field(
        None,
        ge=0,
        le=1,
        description="How alike two records are at least that are the same: the share of parts of three characters that "
        "both texts have, or with an `embedding` the cosine of the angle between their vectors; with a `model`, those "
        "that it is asked about. Default: 0.85; with a `model` 0.",
    )
    candidates: int | None = Field(
        None,
        ge=1,
        le=100,
        description="With how many records of its block, the most alike first, each is compared at most. Default: all.",
    )
    confidence: float = Field(
        0.5, ge=0, le=1, description="How sure a model is at least that two records are the same, by its own words."
    )
    max_block: int = Field(
        100,
        ge=2,
        le=1_000,
        description="How many records are compared with each other at most. A larger block is cut into several, in the "
        "order of the source; `NAME_block` numbers them.",
    )
    max_comparisons: int = Field(
        1_000,
        ge=1,
        le=100_000,
        description="How many pairs of a block a model is asked about at most, the most alike first. `NAME_uncompared` "
        "holds how many were left out.",
    )
    fields: dict[str, str | dict[str, str]] | None = Field(
        None,
        min_length=1,
        description="Makes one record of each entity, and says what it holds, as `fields` of a `group` does: "
        "`{name: {first: name}, records: count}`. Default: all records go on, with `NAME_id`.",
    )

    @property
    def at_least(self) -> float:
        """Return how alike two records are at least that are compared."""
        usual = 0.0 if self.model is not None else _ALIKE
        return usual if self.similarity is None else self.similarity

    @field_validator("block", "compare", mode="before")
    @classmethod
    def _field_or_fields(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @classmethod
    def mistakes(cls, written: Mapping[str, Any]) -> Iterable[Mistake]:
        """All records are compared, and what a model is asked needs one."""
        for key in ("when", "criticality"):
            if (value := said(written, key)) is not None and (key == "when" or value == "optional"):
                expected = f"no `{key}: {value}`: a `filter` before it says which records are compared"
                yield mistake((key,), "strange_for_type", expected, value)
        usual = {key: cls.model_fields[key].default for key in ("confidence", "max_comparisons")}
        for key in (*ONLY_WITH_A_MODEL, *usual) if said(written, "model") is None else ():
            if said(written, key) and said(written, key) != usual.get(key):
                yield mistake((key,), "strange_for_type", f"no `{key}` without a `model`", said(written, key))
        fields = said(written, "fields")
        taken = (*own_fields(written).values(), *listed(written, "block"))
        for name, each in fields.items() if isinstance(fields, Mapping) else ():
            if not is_aggregate(each):
                expected = f"`count`, or one function of a field, e.g. `{{mean: stars}}` ({', '.join(FUNCTIONS)})"
                yield mistake(("fields", name), "aggregate", expected, each)
            if name in taken:
                expected = f"another name, as the record of an entity has `{name}` already"
                yield mistake(("fields", name), "made_twice", expected, name)


def own_fields(step: Any) -> dict[str, str]:
    """Return the fields that the step adds beside those of `fields`, by what they hold: the id of the entity, the
    number of the part of its block, that of the record in this, and the pairs that were not compared."""
    name = said(step, "name")
    return {each: f"{name}_{each}" for each in ("id", "block", "number", "uncompared")}


def listed(step: Any, key: str) -> list[str]:
    """Return the fields that a key names, one or several, of a step as written or as a model."""
    value = said(step, key)
    return [value] if isinstance(value, str) else [str(each) for each in items(step, key)]


def blocks_of(step: Any) -> str:
    """Return the name of the group that brings the records of a block together."""
    return f"{said(step, 'name')}_blocks"


def with_blocks(transform: Any) -> Any:
    """Return a transform as written, with the group that each of its steps that resolve is made of. Writing out what
    was written out changes nothing."""
    steps = items(transform, "steps")
    there = {said(step, "name") for step in steps}
    made = list(steps)
    for at, step in enumerate(steps):
        if not isinstance(step, Mapping) or step.get("type") != RESOLVE or blocks_of(step) in there:
            continue
        most = step.get("max_block", ResolveStep.model_fields["max_block"].default)
        group: dict[str, Any] = {"name": blocks_of(step), "type": "group", "by": listed(step, "block")}
        group |= {"size": most, "number": own_fields(step)["block"], "fields": {MEMBERS: {"list": WHOLE}}}
        group |= {"max_items": most} | {key: step[key] for key in ("needs", "phase") if key in step}
        made[at] = {**step, "needs": [blocks_of(step)]}
        made.append(group)
    return {**transform, "steps": made} if len(made) > len(steps) else transform


def resolves(transform: Any) -> bool:
    """Tell whether a step of a transform, as written or as a model, resolves."""
    return any(said(step, "type") == RESOLVE for step in items(transform, "steps"))


def resolve_of(steps: Sequence[Any], at: int) -> int | None:
    """Return the place of the step that a group was written out for; None of any other step."""
    name = said(steps[at], "name") if at < len(steps) else None
    return next(
        (place for place, step in enumerate(steps) if said(step, "type") == RESOLVE and blocks_of(step) == name), None
    )


def of_the_file(steps: Sequence[Any], loc: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """Return where a mistake stands in the file: one of a group that was written out is one of the step that
    resolves. Places begin at the list of steps."""
    if not loc or not isinstance(loc[0], int) or (at := resolve_of(steps, loc[0])) is None:
        return loc
    key = {"by": "block", "needs": "needs"}.get(str(loc[1])) if len(loc) > 1 else None
    return (at,) if key is None else (at, key, *loc[2:])
