"""Finds the cluster that the commands administer."""

from __future__ import annotations

import os
from pathlib import Path

from loom_common.config.local_cluster import local_cluster
from loom_common.config.settings import BusSettings, JournalSettings, PayloadSettings, Settings, StateSettings


def cluster_settings() -> Settings:
    """Return the settings of the environment. Where it names neither broker nor state, their addresses are those of the
    cluster that `make up` started in this folder or in one above."""
    if "LOOM_BUS_URL" in os.environ or "LOOM_STATE_URL" in os.environ:
        return Settings()
    here = Path.cwd()
    for folder in (here, *here.parents):
        if left := local_cluster(folder):
            return Settings(
                bus=BusSettings.model_validate({"url": left["LOOM_BUS_URL"]}),
                state=StateSettings.model_validate({"url": left["LOOM_STATE_URL"]}),
                journal=JournalSettings.model_validate({"url": left["LOOM_JOURNAL_URL"]}),
                payloads=PayloadSettings.model_validate({"url": left["LOOM_PAYLOADS_URL"]}),
            )
    return Settings()
