"""Runs the six services as a cluster runs them, but in the process of the test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from pydantic import SecretStr

import loom_coordinator.service
import loom_evaluator.service
import loom_extractor.service
import loom_loader.service
import loom_quarantine.service
import loom_transformer.service
from loom.engine import prepare
from loom_common.config.settings import HealthSettings, JournalSettings, PayloadSettings, Settings, StateSettings
from loom_common.service import bootstrap, process
from loom_dev.backends.ports import reserve_port


@asynccontextmanager
async def services(folder: Path, **more: Any) -> AsyncIterator[bootstrap.Platform]:
    """Run the six services as a cluster runs them, in this process, with their metrics on one port."""
    url = SecretStr(f"sqlite:///{folder}/state.db")
    settings = Settings(
        project_dir=folder,
        state=StateSettings(url=url),
        journal=JournalSettings(url=SecretStr(f"sqlite:///{folder}/journal.db")),
        payloads=PayloadSettings(url=SecretStr("file:payloads")),
        health=HealthSettings(port=reserve_port()),
        **more,
    )
    await prepare(settings)
    async with bootstrap.open_platform(settings, "test") as platform:
        built = [
            each.build(platform)
            for each in (
                loom_extractor.service,
                loom_transformer.service,
                loom_evaluator.service,
                loom_loader.service,
                loom_quarantine.service,
                loom_coordinator.service,
            )
        ]
        stop = asyncio.Event()
        async with process._health(platform, stop), asyncio.TaskGroup() as tasks:
            for service in built:
                tasks.create_task(service.run(stop))
            try:
                yield platform
            finally:
                stop.set()
