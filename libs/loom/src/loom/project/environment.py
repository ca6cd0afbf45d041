"""Says which environment variables of the services a project stands for: its `loom.yaml` says the same as they do."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from loom.project.targets.rendered import KeyPath
from loom_common.config.local_cluster import local_cluster
from loom_common.errors import ConfigurationError, InvalidDefinition

if TYPE_CHECKING:
    from loom.project.config import LoomConfig
    from loom_common.config.environment import UnusableSettings

_KEYS: dict[str, KeyPath] = {
    "LOOM_BUS_URL": ("bus", "url"),
    "LOOM_STATE_URL": ("storage", "url"),
    "LOOM_JOURNAL_URL": ("cache", "url"),
}
"""The keys of `loom.yaml` that say the addresses of servers."""


def given_by(config: LoomConfig, aside: dict[str, str]) -> dict[str, str]:
    """Return the variables that count: those of the environment, and those that the project stands for. What keeps a
    run aside comes first."""
    return {**said_by(config), **_cluster_of(config), **os.environ, **aside}


def said_by(config: LoomConfig) -> dict[str, str]:
    """Return the project's configuration, as the variables that say the same."""
    folder = config.project / ".loom"
    storage, cache = config.storage.url, config.cache.url
    return {
        "LOOM_PROJECT_DIR": str(config.project),
        "LOOM_CREDENTIAL_PREFIX": config.credentials.prefix,
        "LOOM_BUS_URL": _expanded(config, config.bus.url) if config.distributed and config.bus.url else "memory://",
        "LOOM_STATE_URL": _expanded(config, storage) if storage else state_file(config),
        "LOOM_JOURNAL_URL": _expanded(config, cache) if cache else f"sqlite:///{folder}/journal.db",
        "LOOM_PAYLOADS_URL": _expanded(config, storage) if storage else f"file:{folder}/payloads",
        "LOOM_LOG_LEVEL": config.log.level,
        **config.openlineage.variables,
        **({"LOOM_ENCRYPTION_KEYS": " ".join(keys)} if (keys := config.encryption.references) else {}),
    }


def state_file(config: LoomConfig) -> str:
    """Return the address of the run state where nothing but the project says one."""
    return f"sqlite:///{config.project / config.storage.path}"


def kept_in(folder: Path) -> dict[str, str]:
    """Return the variables of a run that keeps its state, its journal and its payloads in `folder`."""
    return {
        "LOOM_BUS_URL": "memory://",
        "LOOM_STATE_URL": f"sqlite:///{folder}/state.db",
        "LOOM_JOURNAL_URL": "memory://",
        "LOOM_PAYLOADS_URL": f"file:{folder}/payloads",
        "LOOM_OPENLINEAGE_URL": "",
        "LOOM_OPENLINEAGE_FILE": "",
    }


def placed(error: UnusableSettings, config: LoomConfig) -> ConfigurationError:
    """Return the error with the keys of `loom.yaml`, where it says all that cannot be used; else as it is."""
    said = {"LOOM_BUS_URL": config.bus.url, "LOOM_STATE_URL": config.storage.url, "LOOM_JOURNAL_URL": config.cache.url}
    if any(name in os.environ or said.get(name) is None for name in error.expected):
        return error
    return InvalidDefinition(
        [config.problem(_KEYS[name], "an address that cannot be used", each) for name, each in error.expected.items()]
    )


def _cluster_of(config: LoomConfig) -> dict[str, str]:
    """Return the addresses that `make up` left, where the project names no broker of its own."""
    if not config.distributed or config.bus.url or "LOOM_BUS_URL" in os.environ:
        return {}
    return local_cluster(config.project)


def _expanded(config: LoomConfig, url: str) -> str:
    return config.secrets.expand(url, in_url=True)
