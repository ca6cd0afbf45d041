"""Defines the `extract` section of a pipeline file: where records come from."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from loom_common.domain.definition.failures.recovery import ON_FAILURE, OnFailureHere, Recovery
from loom_common.domain.incremental.settings import IncrementalConfig
from loom_common.domain.quality.kinds import CheckConfig, name_mistakes
from loom_common.domain.record_bytes import MIB
from loom_common.domain.schema.contract import SchemaConfig
from loom_common.domain.section import Location, Mistake, mistake, said
from loom_common.domain.values.durations import Duration, Limit

MOST_PARTITIONS = 64


class ExtractConfig(Recovery):
    """Says where records come from."""

    source: Location = Field(
        description="A file (`data/reviews.csv`, `data/*.jsonl`), `sqlite:///path.db?table=t`, `postgres://...` or "
        "`rest+https://host/path`."
    )
    query: str | None = Field(
        None, description="SQL for database sources. `{{ name }}` is a parameter: bound, never spliced."
    )
    key: str | list[str] | None = Field(
        None, description="The field (or fields) that identify a record. Without it: its content and position."
    )
    batch_size: int = Field(100, ge=1, le=10_000, description="Records per batch, the unit of transport.")
    batch_mb: int = Field(
        8, ge=1, le=1024, description="A batch with fewer records ends where theirs would be more than so many MiB."
    )
    slice_mb: int = Field(
        64,
        ge=1,
        le=65_536,
        description="What is read of the source at once ends where its records would be more than so many MiB.",
    )
    partitions: int | Literal["auto"] = Field(
        "auto",
        description="Pieces of the source to be read at the same time, at most. `auto`: as many as its size is worth "
        "in a cluster, else 1.",
    )
    options: dict[str, Any] = Field(
        default_factory=dict, description="Settings of the source's connector, e.g. `encoding`, `delimiter`."
    )
    incremental: IncrementalConfig | None = Field(
        None, description="Take only records that no earlier run has read: `updated_at`, or `{column: ..., lag: 2h}`."
    )
    poll: Limit | None = Field(
        None,
        description="In a stream: the pause between two looks at a folder, a bucket or a table, and the least time "
        "between two requests of `long_poll`. Default: 200ms for a folder, 1s for `long_poll`, 10s for all else.",
    )
    settle: Duration | None = Field(
        None, description="In a stream: how long a file must not have changed before it is read. Default: 1s."
    )
    lag: Duration | None = Field(
        None,
        description="In a stream of the objects of a bucket: how long before the newest one an object may have been "
        "begun that appears after it. Default: 1h.",
    )
    quality_checks: list[CheckConfig] = Field(
        [], description="What is demanded of the records as they are read, before a model is asked."
    )
    schema_: SchemaConfig | None = Field(
        None,
        alias="schema",
        description="What happens to records that do not fit the stored version of their schema: `manual`, `auto`, "
        "`warn`, `freeze`, or `tables`, `columns` and `types`. Without it, and without a stored version, nobody looks "
        "at the schema.",
    )
    on_failure: OnFailureHere = Field("quarantine", description=ON_FAILURE)

    @field_validator("partitions", mode="before")
    @classmethod
    def _some_or_auto(cls, value: Any) -> Any:
        if value == "auto" or (type(value) is int and 1 <= value <= MOST_PARTITIONS):
            return value
        raise PydanticCustomError("partitions", f"a whole number from 1 to {MOST_PARTITIONS}, or `auto`")

    @classmethod
    def mistakes(cls, written: Mapping[str, Any]) -> Iterable[Mistake]:
        """Demand different names of quality checks, and a key of incremental extraction, which must know a record
        again."""
        yield from name_mistakes(said(written, "quality_checks"))
        if said(written, "incremental") is not None and not said(written, "key"):
            yield mistake(
                (), "missing_for_type", "`key`, by which incremental extraction knows a record again", written
            )

    @property
    def batch_bytes(self) -> int:
        """Return how many bytes the records of a batch have at most, as JSON."""
        return self.batch_mb * MIB

    @property
    def keys(self) -> tuple[str, ...]:
        """Return the key fields, however they were written; empty without a key."""
        if self.key is None:
            return ()
        return (self.key,) if isinstance(self.key, str) else tuple(self.key)
