"""Compares the declared output of a plan with schemas that its contracts freeze, before a run costs anything. It does
no I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from loom_common.domain.run.plan import Plan, contracts_in
from loom_common.domain.schema.columns import Column, takes
from loom_common.domain.schema.declared import declared
from loom_common.errors import Problem
from loom_common.flow import Stage


def frozen_mistakes(plan: Plan) -> Iterator[Problem]:
    """Yield each column of the declared output, and of the rows that are made of it, which a stored version lacks or
    does not take, where the contract freezes that: the first record would fail the run, after its model was paid."""
    for stage in (Stage.TRANSFORM, Stage.LOAD):
        contract, stored = contracts_in(plan.pipeline)[stage], plan.schemas.get(stage)
        if contract is None or stored is None:
            continue
        remedy = "or another version (`loom schema apply`), or a contract that evolves"
        for name, column in _known_before(plan, stage).items():
            there = stored.get(name)
            if there is None and contract.columns == "freeze":
                expected = f"the columns of the stored schema ({', '.join(stored)}), {remedy}"
                yield Problem((stage.value, "schema"), f"the column '{name}'", expected)
            elif there is not None and column is not None and contract.types == "freeze" and not _fits(there, column):
                found = f"'{name}' declared as {column.type}"
                yield Problem((stage.value, "schema"), found, f"{there.type}, as in the stored schema, {remedy}")


def _known_before(plan: Plan, stage: Stage) -> Mapping[str, Column | None]:
    """Return the columns that are known before there are records; None for a type that only a run tells."""
    pipeline = plan.pipeline
    schema = pipeline.transform.declared_schema
    output = declared(schema) if schema is not None else None
    carried = (*pipeline.extract.keys, *pipeline.load.include) if stage is Stage.LOAD else ()
    return {**dict.fromkeys(carried), **(output or {})}


def _fits(stored: Column, column: Column) -> bool:
    return takes(Column(type=stored.type), Column(type=column.type))
