"""Makes the settings of the services of environment variables."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from loom_common.allowed_paths import VARIABLE, listed
from loom_common.config.settings import (
    BusSettings,
    EncryptionSettings,
    JournalSettings,
    LogSettings,
    OpenLineageSettings,
    PayloadSettings,
    Settings,
    StateSettings,
)


@lru_cache(maxsize=4)
def settings_of(variables: frozenset[tuple[str, str]]) -> Settings:
    """Return the settings that these variables make, and no others do. A command asks for them often."""
    given = dict(variables)
    keys = given.get("LOOM_ENCRYPTION_KEYS")
    return Settings(
        project_dir=Path(given["LOOM_PROJECT_DIR"]),
        allowed_paths=listed(given[VARIABLE]),
        credential_prefix=given["LOOM_CREDENTIAL_PREFIX"],
        bus=BusSettings.model_validate({"url": given["LOOM_BUS_URL"]}),
        state=StateSettings.model_validate({"url": given["LOOM_STATE_URL"]}),
        journal=JournalSettings.model_validate({"url": given["LOOM_JOURNAL_URL"]}),
        payloads=PayloadSettings.model_validate({"url": given["LOOM_PAYLOADS_URL"]}),
        log=LogSettings.model_validate({"level": given["LOOM_LOG_LEVEL"]}),
        encryption=EncryptionSettings.model_validate({} if keys is None else {"keys": keys}),
        openlineage=OpenLineageSettings.model_validate(
            {name: given.get(f"LOOM_OPENLINEAGE_{name.upper()}") or None for name in ("url", "api_key", "file")}
            | {"namespace": given.get("LOOM_OPENLINEAGE_NAMESPACE") or "loom"}
        ),
    )
