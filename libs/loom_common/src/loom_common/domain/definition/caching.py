"""What a pipeline file says about reusing answers of models."""

from __future__ import annotations

from pydantic import Field

from loom_common.domain.section import Section
from loom_common.domain.values.durations import Duration, seconds


class CacheConfig(Section):
    """Whether results are reused between runs. Within a run they always are: no call is paid twice."""

    enabled: bool = Field(True, description="Reuse results that earlier runs paid for.")
    ttl: Duration | None = Field(
        None, description="How old a reused result may be: `30m`, `12h`, `7d`. Default: any age."
    )

    @property
    def max_age(self) -> float | None:
        """Seconds a reused result may be old; None for any age."""
        return None if self.ttl is None else seconds(self.ttl)
