"""Shows pipelines and what their runs leave behind: lineage, streams, and versions of schemas, prompts and marks."""

from __future__ import annotations

import datetime as dt
import getpass
from typing import TYPE_CHECKING

from loom.views.state import StateViews
from loom_common.domain.incremental.window import Window
from loom_common.flow import Stage

if TYPE_CHECKING:
    from loom_common.domain.definition.extract import ExtractConfig
    from loom_common.domain.schema.columns import Columns
    from loom_coordinator.db.marks import Mark
    from loom_coordinator.db.schema_versions import SchemaVersion
    from loom_coordinator.db.streams import OpenWindow, Stream
    from loom_coordinator.queries.lineage import Lineage
    from loom_coordinator.queries.pipelines import PipelineSummary
    from loom_coordinator.queries.streams.shown import ShownStream
    from loom_coordinator.queries.versions.prompts import PromptVersion


class PipelineViews(StateViews):
    """Shows pipelines, and what their runs leave behind."""

    async def pipelines(self) -> list[PipelineSummary]:
        """Return every pipeline that has run here, with its newest run."""
        from loom_coordinator.queries import pipelines

        async with self._engine.connect() as connection:
            return await pipelines.registered(connection, self._alive)

    async def lineage(self, pipeline: str, run_id: str | None) -> list[Lineage]:
        """Return from where to where records went, and what each stage let through: the named run, or the pipeline's
        newest ones."""
        from loom_coordinator.queries import lineage

        async with self._engine.connect() as connection:
            return await lineage.of_pipeline(connection, pipeline, run_id, self._alive)

    async def stream(self, stream_id: str) -> Stream | None:
        """Return a stream as its row holds it; None where there is no such stream."""
        from loom_coordinator.db import streams

        async with self._engine.connect() as connection:
            return await streams.find(connection, stream_id)

    async def shown_stream(self, stream_id: str, newest: int = 10) -> ShownStream | None:
        """Return how far a stream has come, with its newest windows; None where there is no such stream."""
        from loom_coordinator.queries.streams.shown import shown

        async with self._engine.connect() as connection:
            return await shown(connection, stream_id, newest, self._alive)

    async def shown_streams(self, pipeline: str, newest: int = 1) -> list[ShownStream]:
        """Return how far the streams of a pipeline have come, each with its newest windows."""
        from loom_coordinator.db import streams
        from loom_coordinator.queries.streams.shown import shown

        async with self._engine.connect() as connection:
            ids = await streams.of_pipeline(connection, pipeline)
            found = [await shown(connection, each, newest, self._alive) for each in ids]
        return [each for each in found if each is not None]

    async def open_windows(self, stream_id: str) -> list[OpenWindow]:
        """Return the windows of a stream that are not over, in their order."""
        from loom_coordinator.db import streams

        async with self._engine.connect() as connection:
            return await streams.open_windows(connection, stream_id)

    async def schemas(self, pipeline: str) -> list[SchemaVersion]:
        """Return the stored versions of the schemas of a pipeline, the newest of each stage first."""
        from loom_coordinator.db import schema_versions

        async with self._engine.connect() as connection:
            return await schema_versions.history(connection, pipeline)

    async def store_schema(self, pipeline: str, stage: Stage, columns: Columns) -> SchemaVersion:
        """Store the next version of a schema, unless it is the newest one already."""
        from loom_coordinator.db import schema_versions

        async with self._engine.begin() as connection:
            return await schema_versions.store(
                connection, pipeline, stage, columns, dt.datetime.now(dt.UTC), getpass.getuser()
            )

    async def prompts(self, pipeline: str | None) -> list[PromptVersion]:
        """Return the versions of the prompts of a pipeline, or of all, the newest first."""
        from loom_coordinator.queries.versions import prompts

        async with self._engine.connect() as connection:
            return await prompts.listed(connection, pipeline)

    async def prompt(self, pipeline: str, version: str | None) -> PromptVersion:
        """Return one version of a pipeline's prompt, or the newest. Raises `NotFound`, and `ConfigurationError` where
        several are meant."""
        from loom_coordinator.queries.versions import prompts

        async with self._engine.connect() as connection:
            return await prompts.find(connection, pipeline, version)

    async def marks(self, pipeline: str | None) -> list[Mark]:
        """Return up to where a pipeline, or each, has read its sources."""
        from loom_coordinator.db import marks

        async with self._engine.connect() as connection:
            return await marks.listed(connection, pipeline)

    async def set_mark(self, pipeline: str, extract: ExtractConfig, window: Window) -> None:
        """Put a mark in the place of the one that is there."""
        from loom_coordinator.db import marks

        async with self._engine.begin() as connection:
            await marks.store(connection, pipeline, extract, window, dt.datetime.now(dt.UTC), getpass.getuser())

    async def reset_marks(self, pipeline: str) -> int:
        """Remove the marks of a pipeline, and return how many there were."""
        from loom_coordinator.db import marks

        async with self._engine.begin() as connection:
            return await marks.reset(connection, pipeline)
