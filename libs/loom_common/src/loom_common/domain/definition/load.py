"""Defines the `load` section of a pipeline file: where records that passed go."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, Self

from pydantic import Field, field_validator

from loom_common.domain.definition.failures.fallback import fallback_fits, meant_by_presence
from loom_common.domain.definition.failures.recovery import ON_FAILURE_OR_FALLBACK, OnFailure, Recovery
from loom_common.domain.quality.kinds import CheckConfig, name_mistakes
from loom_common.domain.schema.contract import SchemaConfig
from loom_common.domain.section import Location, Mistake, said


class LoadConfig(Recovery):
    """Says where records that passed are loaded."""

    destination: Location = Field(
        description="A file (`results/scores.csv`), `sqlite:///path.db?table=t`, `postgres://...?table=t` "
        "or `rest+https://host/path`."
    )
    mode: Literal["append", "upsert", "replace"] | None = Field(
        None,
        description="`append`, `upsert` (by `key`) or `replace`. Default: `replace` for files; for databases `upsert` "
        "where records have a key (`extract.key`, or `key` here), else `append`.",
    )
    key: list[str] = Field([], description="Columns that identify a row, for `upsert`. Default: `extract.key`.")
    include: list[str] = Field([], description="Input fields to load beside the output. The extract key always is.")
    allow_empty: bool = Field(
        False, description="`replace`: let a run that loaded no row empty the destination. Else what is there stays."
    )
    options: dict[str, Any] = Field(default_factory=dict, description="Settings of the destination's connector.")
    quality_checks: list[CheckConfig] = Field(
        [], description="What is demanded of the rows that passed, before they are loaded."
    )
    schema_: SchemaConfig | None = Field(
        None,
        alias="schema",
        description="The same for the rows, before they are loaded. Where columns or types evolve and the version is "
        "stored, so does the table of a database.",
    )
    on_failure: OnFailure = Field("quarantine", description=ON_FAILURE_OR_FALLBACK)
    fallback: Location | None = Field(
        None,
        description="A second destination: for rows that the first refuses, and for batches once it cannot be written.",
    )

    @classmethod
    def long_form(cls, written: Any) -> Any:
        return meant_by_presence(written)

    @classmethod
    def mistakes(cls, written: Mapping[str, Any]) -> Iterable[Mistake]:
        """Check that a fallback destination has `on_failure: fallback`, and that quality checks have names of their
        own."""
        yield from fallback_fits(written)
        yield from name_mistakes(said(written, "quality_checks"))

    @property
    def makes_its_place(self) -> bool:
        """Tell whether a table or a file that is not there may be made: not where its contract freezes tables."""
        return self.schema_ is None or self.schema_.tables != "freeze"

    @property
    def second(self) -> Self | None:
        """Return the settings of the second destination, where there is one. Its mode is always `append`."""
        if self.fallback is None:
            return None
        place = {"destination": self.fallback, "mode": "append", "options": dict[str, Any]()}
        return self.model_copy(update={**place, "fallback": None, "on_failure": "quarantine"})

    @field_validator("key", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value
