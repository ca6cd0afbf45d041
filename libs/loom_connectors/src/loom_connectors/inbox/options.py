"""Defines what a pipeline file may say of the records that it is given over HTTP."""

from pydantic import Field

from loom_connectors.options import Options


class InboxOptions(Options):
    """Says how records are taken from those that wait."""

    backlog: int = Field(
        10_000,
        ge=1,
        le=1_000_000,
        description="The most records that wait to be taken. While as many do, requests are answered with 429.",
    )
    prefetch: int = Field(500, ge=1, le=10_000, description="The most records that are taken at once.")
