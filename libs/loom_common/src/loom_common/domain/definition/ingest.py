"""Defines the `ingest` section of a pipeline file: how a record that comes over HTTP again is known."""

from typing import Any

from pydantic import Field

from loom_common.domain.section import Section
from loom_common.domain.values.durations import Duration


class IngestConfig(Section):
    """Says how records that come over HTTP twice are known. The short form is the window."""

    window: Duration = Field(
        description="For how long a record is known after it was taken: `24h`. One that comes again with its key until "
        "then is not processed again; the answer names the run that has it."
    )
    key: str | list[str] | None = Field(
        None, description="The field (or fields) by which it is known. Default: `extract.key`."
    )

    @classmethod
    def long_form(cls, written: Any) -> Any:
        return {"window": written} if isinstance(written, str) else written
