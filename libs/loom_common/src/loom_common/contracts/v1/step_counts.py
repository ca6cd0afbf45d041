"""Defines what facts and reports say of the steps of a transform. Reports are read without any fact."""

from pydantic import Field

from loom_common.contracts.envelope import Part


class StepCount(Part):
    """Counts what became of the records of a batch in one step of the transform, or on one branch of a router, whose
    name is `ROUTER.BRANCH`."""

    name: str
    seen: int = Field(description="Records that the step worked on, or that took the branch.")
    passed: int = Field(0, description="Records that it passed by, because its `when` is not true of them.")
    filtered: int = Field(0, description="Of those seen: records that it dropped.")
    derived: int = Field(0, description="Records that it made of those seen.")
    failed: int = Field(0, description="Of those seen: records that it failed on.")
    seconds: float = Field(0.0, description="What it took for these records, added up.")
    calls_made: int = 0
    calls_from_cache: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float = Field(0.0, description="USD.")
