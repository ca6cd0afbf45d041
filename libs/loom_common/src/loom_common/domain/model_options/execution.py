"""Defines the `execution` key of sections that ask models: directly, or through the batches of a provider."""

from typing import Any, Literal

from pydantic import Field

from loom_common.domain.section import Section
from loom_common.domain.values.durations import Limit, seconds


class ExecutionConfig(Section):
    """Says how models are asked. The short form is the type."""

    type: Literal["direct", "batch"] = Field(
        "direct",
        description="`batch` asks through the provider's batch API, for half the price at most of them: answers come "
        "within hours.",
    )
    deadline: Limit = Field(
        "24h",
        description="What has no answer after so long is asked directly, at the usual price: `6h`.",
    )
    window: int = Field(
        20_000,
        ge=1,
        le=200_000,
        description="The number of records of a run that may wait for batches at the same time. Each waits as a "
        "message and a row, not in a worker.",
    )

    @classmethod
    def long_form(cls, written: Any) -> Any:
        return {"type": written} if isinstance(written, str) else written

    @property
    def batch_deadline(self) -> float | None:
        """Return the seconds that a batch has; None where models are asked directly."""
        return seconds(self.deadline) if self.type == "batch" else None
