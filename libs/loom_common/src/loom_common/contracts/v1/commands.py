"""Defines commands to the coordinator, which any client may send."""

from typing import Annotated, Any, ClassVar, Literal
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field

from loom_common.contracts.envelope import Message
from loom_common.contracts.v1.preflight import Preflight
from loom_common.domain.run.replaying import Changes
from loom_common.domain.values.ids import message_id

LINEAGE_RUN = r"^[^\x00-\x1f]{1,500}/[^/\x00-\x1f]{1,500}/[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"
"""Matches what names a run among tools that tell of lineage: `NAMESPACE/JOB/UUID`, as in `OPENLINEAGE_PARENT_ID`."""
LineageRun = Annotated[str, Field(pattern=LINEAGE_RUN)]


class LineageParent(BaseModel):
    """Names the task of another tool that asks for a run, for the events of OpenLineage."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    run: LineageRun = Field(
        description="The task's run as OpenLineage knows it, `NAMESPACE/JOB/UUID`, as in `OPENLINEAGE_PARENT_ID`.",
        examples=["airflow/reviews_daily.reviews/01978f6a-8c1e-7c1b-9d0e-3f0a5b6c7d8e"],
    )
    root: LineageRun | None = Field(
        None, description="The run that all of it belongs to, such as that of a DAG: `OPENLINEAGE_ROOT_PARENT_ID`."
    )


class RunRequest(Message):
    """Starts a run. Any AMQP client may publish this JSON to `loom.runs` / `run.request`."""

    type: ClassVar[str] = "loom.run.request.v1"

    pipeline: str | None = Field(None, description="The name of a registered pipeline.")
    definition: dict[str, Any] | None = Field(None, description="Or the definition itself, as in a pipeline file.")
    params: dict[str, Any] = Field(default_factory=dict, description="Values for the pipeline's parameters.")
    idempotency_key: str | None = Field(None, description="The same key twice starts one run.")
    requested_by: str | None = Field(None, description="For people.")
    files: dict[str, str] = Field(default_factory=dict, description="Prompt and context files by path, as text.")
    base: str = Field("", description="The folder that relative paths start from, below the workers' project folder.")
    sample: int | None = Field(
        None, ge=1, description="Try it: extract at most so many records, and load them beside the destination."
    )
    load: bool = Field(False, description="With `sample`: load into the destination itself.")
    records: str | None = Field(
        None,
        description="The name of records that were stored before, which the run reads in place of its source.",
    )
    rows: str | None = Field(
        None,
        description="The name under which its rows are kept in the payload store, in place of its destination: `kept_` "
        "and 32 hexadecimal digits.",
    )
    claims: str | None = Field(
        None,
        max_length=64,
        description="With `records`: the name of the claims on their keys, which the run takes over.",
    )
    outputs: bool = Field(
        False,
        description="With `records`: keep the outputs of the first loaded records for a day.",
    )
    full_refresh: bool = Field(False, description="Read all of the source, whatever earlier runs have read.")
    budget: float | None = Field(
        None,
        gt=0,
        description="What the run may cost, in USD; with the pipeline's `cost_budget`, the lesser of the two.",
    )
    reuse: bool = Field(True, description="False: take no result of an earlier run.")
    priority: int = Field(5, ge=1, le=10, description="Its share beside other runs: 10 weighs twice 5.")
    lineage_parent: LineageParent | None = Field(
        None, description="The task of another tool that asks, which events of OpenLineage name as the run's parent."
    )
    canary: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="For a stream that is there: the share of the records that this version takes on trial.",
    )
    begin_at: str | None = Field(
        None,
        min_length=1,
        max_length=10_000,
        description="For a stream: where its next window begins: a time such as `2026-11-01T06:00:00Z`, how long ago "
        "(`2h`), `start`, `end`, or a place as its source names it. Asked twice with the same key, it moves once.",
    )
    again: bool = Field(False, description="With `begin_at`: also take again what the stream has taken before.")
    preflight: Preflight | None = Field(
        None, description="What whoever asks has found before, for the audit: `loom manifest`."
    )
    audit_line: int | None = Field(
        None, description="The line of the audit log in which whoever asks has noted it, such as Loom's API."
    )

    @property
    def message_id(self) -> str:
        return message_id("request", self.idempotency_key) if self.idempotency_key else message_id("request", uuid4())


class RegisterPipeline(Message):
    """Enters a pipeline, or another version of it, without running it: `loom.runs` / `run.register`. It can then be run
    by its name."""

    type: ClassVar[str] = "loom.pipeline.register.v1"

    definition: dict[str, Any] = Field(description="The definition, as in a pipeline file.")
    files: dict[str, str] = Field(default_factory=dict, description="Prompt and context files by path, as text.")
    base: str = Field("", description="The folder that relative paths start from, below the workers' project folder.")
    requested_by: str | None = Field(None, description="For people.")
    audit_line: int | None = Field(
        None, description="The line of the audit log in which whoever asks has noted it, such as Loom's API."
    )

    @property
    def message_id(self) -> str:
        return message_id("register", uuid4())


class RunCommand(Message):
    """Changes a run: `loom.runs` / `run.cancel`, `run.pause`, `run.resume`, `run.priority`, `run.drain`, and
    `run.promote` and `run.rollback` for the canary of a stream."""

    type: ClassVar[str] = "loom.run.command.v1"

    run_id: str = Field(description="The run; for all but `priority` also a stream.")
    verb: Literal["cancel", "pause", "resume", "priority", "drain", "promote", "rollback"]
    priority: int | None = Field(None, ge=1, le=10, description="For `priority`: the new one.")
    budget: float | None = Field(None, gt=0, description="For `resume`: what the run may cost in all, in USD.")
    requested_by: str | None = Field(None, description="Who commands it: the user who signed in, or of the broker.")
    audit_line: int | None = Field(
        None, description="The line of the audit log in which whoever asks has noted it, such as Loom's API."
    )

    @property
    def message_id(self) -> str:
        return message_id("command", uuid4())


class ReplayRequest(Message):
    """Runs a pipeline again over the quarantined records of a run: `loom.runs` / `run.replay`."""

    type: ClassVar[str] = "loom.run.replay.v1"

    run_id: str = Field(description="The run whose records are replayed.")
    record_ids: tuple[str, ...] | None = Field(None, description="None for all that are unresolved.")
    changes: Changes | None = Field(None, description="What is to be another this time.")
    requested_by: str | None = Field(None, description="Who commands it: the user who signed in, or of the broker.")
    audit_line: int | None = Field(
        None, description="The line of the audit log in which whoever asks has noted it, such as Loom's API."
    )
    idempotency_key: str | None = Field(None, description="The same key twice starts one run.")

    @property
    def message_id(self) -> str:
        return message_id("replay", self.idempotency_key or uuid4())


class DiscardRequest(Message):
    """Resolves quarantined records of a run as `discarded`: `loom.runs` / `run.discard`. The coordinator sends it on to
    the quarantine, as `loom.quarantine` / `quarantine.discard.<pipeline>`."""

    type: ClassVar[str] = "loom.records.discard.v1"

    run_id: str = Field(description="The run whose records are given up.")
    record_ids: tuple[str, ...] | None = Field(None, description="None for all that are unresolved.")
    requested_by: str | None = Field(None, description="Who commands it: the user who signed in, or of the broker.")
    audit_line: int | None = Field(
        None, description="The line of the audit log in which whoever asks has noted it, such as Loom's API."
    )

    @property
    def message_id(self) -> str:
        return message_id("discard", uuid4())
