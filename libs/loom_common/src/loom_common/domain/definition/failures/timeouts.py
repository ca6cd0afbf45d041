"""Defines the `timeouts` section of a pipeline file."""

from pydantic import Field

from loom_common.domain.section import Section
from loom_common.domain.values.durations import Limit


class Timeouts(Section):
    """Holds the time limits, written as `30s`, `15m`, `12h` or `7d`."""

    record: Limit = Field("2m", description="One record in the transform, or in the evaluators. Past it: quarantined.")
    batch: Limit = Field("30m", description="One batch in a worker. Past it, the batch is tried again later.")
    run: Limit = Field("1h", description="The run, from its start or from being resumed. Past it, it fails.")
    extract: Limit = Field("15m", description="A slice being read. Without a fact about it for so long: asked again.")
    transform: Limit = Field("45m", description="Where no batch leaves the transform for so long: sent again.")
    evaluate: Limit = Field("30m", description="Where no batch leaves the evaluators for so long: sent again.")
    load: Limit = Field("15m", description="Where no batch is loaded for so long: sent again.")
