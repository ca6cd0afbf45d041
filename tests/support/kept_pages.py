"""Reads sources that give each record once as extractors do, of which one dies before it acknowledges what it kept."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from loom_ai.stores.beside_budgets import open_received_pages
from loom_common.config.credentials import Credentials
from loom_common.config.settings import JournalSettings, Settings
from loom_common.domain.definition.pipeline import ExtractConfig
from loom_common.ports.received_pages import ReceivedPages
from loom_common.resilience import failpoints
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.registry import open_source
from loom_extractor.sources.received import RunsReceivedRecords
from support.journal_tables import create_tables


@asynccontextmanager
async def pages_in(folder: Path) -> AsyncIterator[ReceivedPages]:
    """Open a store of received pages."""
    url = f"sqlite:///{folder}/journal.db"
    await create_tables(url)
    pages = open_received_pages(Settings(journal=JournalSettings(url=url)))
    try:
        yield pages
    finally:
        await pages.close()


@asynccontextmanager
async def extractor_of(folder: Path, pages: ReceivedPages, **extract: Any) -> AsyncIterator[RunsReceivedRecords]:
    """Read a source for one run, as an extractor does whose connection is closed after the block."""
    source = open_source(ExtractConfig(**extract), ConnectorContext(folder=folder, credentials=Credentials()))
    try:
        yield RunsReceivedRecords(source, pages, "run_1", taking=True, trial=False)  # type: ignore[arg-type]
    finally:
        await source.close()


async def dies_before_it_acknowledges(extractor: RunsReceivedRecords, cursor: Any, limit: int) -> None:
    """Read a page, keep it, and do nothing more. The connection remains until the extractor is closed."""
    failpoints.arm("extractor", "extractor:before_source_ack:1:raise")
    try:
        with pytest.raises(failpoints.FailpointError):
            await extractor.read(cursor, limit)
    finally:
        failpoints.disarm()


async def ids_of_all(extractor: RunsReceivedRecords, cursor: Any, limit: int) -> list[str]:
    """Read from a cursor to the end of the run, and return the ids of the records."""
    found: list[str] = []
    while True:
        page = await extractor.read(cursor, limit)
        found += [record.data["id"] for record in page.records]
        cursor = page.cursor
        if page.end:
            return found
