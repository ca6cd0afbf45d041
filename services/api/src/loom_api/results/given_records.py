"""Defines the results of giving records to a pipeline: which are known already, and what each came to."""

from typing import Any

from pydantic import BaseModel, Field

from loom_api.results.commands import RunStarted
from loom_api.results.runs import RunDocument


class OutcomeScoreDocument(BaseModel):
    """Says how one evaluator scored a record."""

    evaluator_name: str
    score: float | None
    threshold: float | None
    passed: bool | None
    confidence: float | None
    explanation: str | None


class RecordOutcomeDocument(BaseModel):
    """Says what became of one record of a run."""

    record_id: str
    status: str = Field(
        description="`loaded`, `rejected`, `quarantined` or `skipped`; `passed` where it passed its gate and the run "
        "did not put it in its place."
    )
    output: Any = Field(description="What the transform made of it; null for none, and above 64 KiB.")
    scores: list[OutcomeScoreDocument]
    stage: str | None = Field(description="The stage that kept it back; null where it passed.")
    code: str | None
    reason: str | None


class Duplicate(BaseModel):
    """Names a record that was given before, within the window of its pipeline."""

    key: str = Field(description="Its key, by `ingest.key` of the pipeline.")
    run_id: str | None = Field(description="The run that has it.")


class Known(BaseModel):
    """Says which of the records that were given are known, and are not processed again."""

    duplicates: list[Duplicate] = Field(description="The first 100 of them, in their order.")
    duplicate_count: int


class RecordsTaken(RunStarted, Known):
    """Says that a run over records has begun."""


class NothingNew(Known):
    """Says that no run has begun, because earlier runs have all the records."""

    run_id: None = None
    pipeline: str


class RunWithOutputs(RunDocument, Known):
    """Holds the report of a run that has ended, with what each of the records that were given came to."""

    outputs: list[RecordOutcomeDocument] | None = Field(
        description="In the order of the records; null for more than 100, and for who may not `read_data`."
    )


class KnownRecord(BaseModel):
    """Names a record of a request that the stream was given before, within the window of its pipeline."""

    position: int = Field(description="Where it stands in the request, counted from 0.")
    key: str | None = Field(description="Its key, by `ingest.key` of the pipeline.")
    id: str = Field(description="The id of the record that has the key.")


class RecordsKept(BaseModel):
    """Says that a stream has been given records, which are stored durably."""

    pipeline: str
    stream: str = Field(description="The id of the stream, as `loom status` takes it.")
    ids: list[str] = Field(
        description="The id of each record, in their order; that of the earlier record where it is known. It stands in "
        "the position of the record, which messages about it show."
    )
    duplicates: list[KnownRecord] = Field(description="The first 100 of those that are known, in their order.")
    duplicate_count: int
