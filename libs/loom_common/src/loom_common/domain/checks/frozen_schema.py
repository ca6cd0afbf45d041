"""Compares a plan with the schemas that its contracts freeze, before a run costs anything. It does no I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from loom_common.domain.run.plan import Plan, contract_of, contracts_in
from loom_common.domain.schema.columns import Column, takes
from loom_common.domain.schema.declared import declared
from loom_common.errors import Problem
from loom_common.flow import Stage

_HOW = {
    Stage.EXTRACT: "store one (`loom schema apply FILE` takes that of the source)",
    Stage.TRANSFORM: "declare `transform.output`, or store one (`loom schema apply FILE --stage transform --from "
    "SCHEMA`, where `loom schema infer` makes the schema of the results of a trial)",
}
"""Says, by the stage, how a schema of which no version is stored gets one."""


def frozen_mistakes(plan: Plan) -> Iterator[Problem]:
    """Yield what would fail the run at its first record, after its model was paid: schemas of which no version is
    stored, and columns that a stored version lacks or does not take, where the contract freezes that."""
    yield from _without_a_version(plan)
    yield from _misfits(plan)


def _without_a_version(plan: Plan) -> Iterator[Problem]:
    """Yield each stage whose contract makes no first version, and that has none. A trial may show what it would be. Of
    rows, the destination itself says whether it is there."""
    contracts = contracts_in(plan.pipeline)
    for stage, remedy in _HOW.items():
        contract, held = contracts[stage], contract_of(plan, stage)
        if contract is None or contract.tables != "freeze" or plan.beside or (held is not None and held[1] is not None):
            continue
        why = "`tables: freeze` takes no records whose schema is new"
        expected = f"one, because {why}: {remedy}, or say `tables: evolve`"
        yield Problem((stage.value, "schema"), "no stored version of the schema", expected)


def _misfits(plan: Plan) -> Iterator[Problem]:
    """Yield each column of the declared output, and of the rows that are made of it, that does not fit."""
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
    carried = (*pipeline.carried_key, *pipeline.load.include) if stage is Stage.LOAD else ()
    return {**dict.fromkeys(carried), **(output or {})}


def _fits(stored: Column, column: Column) -> bool:
    return takes(Column(type=stored.type), Column(type=column.type))
