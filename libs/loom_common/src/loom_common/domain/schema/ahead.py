"""Says, before a run, how its records differ from the stored version of their schema, and what the run would do about
it."""

from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict, Field

from loom_common.domain.schema.columns import Column, Columns, takes
from loom_common.domain.schema.contract import SchemaConfig
from loom_common.domain.schema.drift import SchemaChange, drift

FAILS = "the run fails"
KEPT_BACK = "its records are quarantined"

_UNKNOWN = Column(type="any", nullable=True)


class ExpectedChange(SchemaChange):
    """Describes how a column differs from the stored version of its schema, and what a run would do about it."""

    done: str


class ExpectedDrift(BaseModel):
    """Says how the records of a stage differ from the stored version of their schema."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    stage: str
    version: int
    records: int | None = Field(None, description="How many records were looked at; None where an output is declared.")
    changes: tuple[ExpectedChange, ...]

    def done(self, what: str) -> Sequence[str]:
        """Return the columns about which a run would do this."""
        return [each.now_called or each.column for each in self.changes if each.done == what]


def expected(
    stored: Columns, known: Mapping[str, Column | None], contract: SchemaConfig | None
) -> list[ExpectedChange]:
    """Return how columns differ from those of the stored version, with what the contract of their section does about
    it. Where `known` has None for a column, only a run tells its type."""
    found = {name: stored.get(name, _UNKNOWN) if column is None else column for name, column in known.items()}
    return [ExpectedChange(**each.model_dump(), done=_done(each, contract)) for each in drift(stored, found)]


def as_declared(stored: Columns, declared: Columns) -> dict[str, Column]:
    """Return the columns of a declared output as they are compared with a stored version. A declaration names types;
    which formats their texts have and which columns have nulls, only records tell."""
    return {name: _as_declared(stored.get(name), column) for name, column in declared.items()}


def _as_declared(stored: Column | None, declared: Column) -> Column:
    column = Column(type=declared.type)
    return stored if stored is not None and takes(Column(type=stored.type), column) else column


def _done(change: SchemaChange, contract: SchemaConfig | None) -> str:
    """Say what becomes of records that differ so. Those that lack something fit every contract."""
    if contract is None or change.change in ("removed", "narrowed", "nullable"):
        return "loaded, and reported"
    is_new = change.change in ("added", "renamed")
    match contract.columns if is_new else contract.types:
        case "freeze":
            return FAILS
        case "discard_row":
            return KEPT_BACK
        case "discard_value":
            return "loaded without the column" if is_new else "loaded with null"
        case "evolve" if contract.store:
            return "loaded, and added to the next version" if is_new else "loaded, and wider in the next version"
        case _:
            return "loaded, and reported"
