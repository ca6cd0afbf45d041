"""Defines the `cache` section of a pipeline file, about reusing models' answers."""

from pydantic import Field

from loom_common.domain.section import Section
from loom_common.domain.values.durations import Duration, seconds


class CacheConfig(Section):
    """Says whether answers are reused between runs. Within a run they always are, so that no call is paid twice."""

    enabled: bool = Field(True, description="Reuse results that earlier runs paid for.")
    ttl: Duration | None = Field(
        None, description="How old a reused result may be: `30m`, `12h`, `7d`. Default: any age."
    )

    @property
    def max_age(self) -> float | None:
        """Return the greatest age of a reused answer in seconds; None for any age."""
        return None if self.ttl is None else seconds(self.ttl)
