"""Defines a run's plan: the validated pipeline with everything that any worker needs to carry it out.

It contains prompts and context files, so workers need no shared disk for them. It is named by the hash of its content:
messages carry the hash, and workers cache the last few plans."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from loom_common.domain.definition.pipeline import Pipeline
from loom_common.domain.incremental.window import Window
from loom_common.domain.schema.columns import Column, Columns
from loom_common.domain.schema.contract import SchemaConfig
from loom_common.domain.schema.declared import declared
from loom_common.domain.values.ids import content_hash
from loom_common.errors import PermanentError
from loom_common.flow import Stage


class Replay(BaseModel):
    """Marks a run that reads another run's quarantined records instead of the source."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    run_id: str
    origin: str | None = Field(None, description="The run that first kept them back; None where it is `run_id`.")
    record_ids: tuple[str, ...] | None = Field(None, description="None for all that are unresolved.")
    edits: dict[str, Any] = Field(default_factory=dict, description="Other values for fields of every record.")
    outputs: bool = Field(False, description="Whether the outputs that were kept are judged as they are.")


class Plan(BaseModel):
    """Represents the plan, which is immutable and the same for every batch of a run."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    pipeline: Pipeline
    files: dict[str, str] = Field(default_factory=dict, description="Prompt and context files by path, as text.")
    base: str = Field("", description="The pipeline file's folder, relative to the worker's project folder.")
    params: dict[str, Any] = Field(default_factory=dict, description="Resolved parameters, as JSON values.")
    limit: int | None = Field(None, description="Extract at most so many records.")
    reuse: bool = Field(True, description="Whether results of earlier runs may be reused.")
    replay: Replay | None = None
    stream: str | None = Field(None, description="The stream that the run is a window of.")
    window: Window | None = Field(
        None, description="Up to where earlier runs have read the source; None for all of it."
    )
    schemas: dict[Stage, dict[str, Column]] = Field(
        default_factory=dict, description="The stored version of the schema, by the stage that holds records to it."
    )
    beside: bool = Field(False, description="A sample: rows are loaded beside the destination, never into it.")
    outputs: bool = Field(False, description="Whether the outputs of loaded records are kept for whoever gave them.")
    every_hop: bool = Field(False, description="Whether batches also visit the stages that have nothing to do.")

    def encoded(self) -> bytes:
        """Return the bytes whose hash names this plan."""
        return self.model_dump_json(by_alias=True, exclude_defaults=True).encode()

    @staticmethod
    def decoded(data: bytes) -> "Plan":
        """Decode the plan that `encoded` wrote. Raises `PermanentError` where this process cannot read it, because a
        package that the run's plugins come from is not installed here, or is of another version."""
        try:
            return Plan.model_validate_json(data)
        except ValidationError as error:
            words = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
            raise PermanentError(
                f"This process cannot read the plan of the run: expected {words}. Install here what the run was "
                "started with; then go on with `loom resume`."
            ) from error

    @property
    def hash(self) -> str:
        """Return the plan's name in messages and in the payload store."""
        return content_hash(self.encoded())

    def text_of(self, path_or_text: str) -> str:
        """Return a prompt's text: that of the file with this path in the plan, or the argument itself where it is
        inline text."""
        return self.files.get(path_or_text, path_or_text)


def contract_of(plan: Plan, stage: Stage) -> tuple[SchemaConfig, Columns | None] | None:
    """Return the contract that a stage holds records to, with the stored version; None where the plan has neither.
    Until a version of the answers is stored, they are held to the declared output."""
    section = contracts_in(plan.pipeline).get(stage)
    stored = plan.schemas.get(stage)
    if section is None and stored is None:
        return None
    schema = plan.pipeline.transform.declared_schema
    if stage is Stage.TRANSFORM and stored is None and schema is not None:
        return section or _REPORTING, declared(schema)
    return section or _REPORTING, stored


def contracts_in(pipeline: Pipeline) -> dict[Stage, SchemaConfig | None]:
    """Return the contracts that a pipeline says, by the stage that holds records to them."""
    return {
        Stage.EXTRACT: pipeline.extract.schema_,
        Stage.TRANSFORM: pipeline.transform.schema_,
        Stage.LOAD: pipeline.load.schema_,
    }


_REPORTING = SchemaConfig(store=False)
"""The contract of a stage whose section has none, and of whose records a version is stored: what differs is
reported."""
