"""Defines the results of commands: what they started, changed or entered."""

from pydantic import BaseModel, Field


class RunStarted(BaseModel):
    """Says that a run has begun."""

    run_id: str
    pipeline: str
    status: str
    notes: list[str] = Field([], description="What the run does about columns that do not fit, in sentences.")


class Registered(BaseModel):
    """Says that a pipeline can be run by its name."""

    pipeline: str
    version: str


class RunStatus(BaseModel):
    """Says what a run's status is, once a command is carried out."""

    run_id: str
    pipeline: str
    status: str


class Replayed(BaseModel):
    """Says which dead letters were sent where they were going."""

    replayed: list[str]
