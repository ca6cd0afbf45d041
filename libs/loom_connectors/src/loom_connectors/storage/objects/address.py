"""Reads the location of objects, `s3://bucket/key?endpoint=...`, and opens the store that it names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qsl, unquote

from obstore.store import AzureStore, GCSStore, ObjectStore, S3Store

from loom_common.errors import ConfigurationError
from loom_connectors.options import closest
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.server_urls import held_files

_CLIENT = {"connect_timeout": "5s", "timeout": "60s", "user_agent": "loom"}
_RETRIES: Mapping[str, Any] = {
    "max_retries": 4,
    "retry_timeout": timedelta(seconds=30),
    "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=5), "base": 2},
}


@dataclass(frozen=True, slots=True)
class Service:
    """Describes a kind of object store."""

    name: str
    keys: Mapping[str, str]
    """Says what may stand in the query of a location, and what each is called in the store's own configuration."""
    opened: Callable[..., ObjectStore]
    files: tuple[str, ...] = ()
    """Names the settings that are paths."""


SERVICES: Mapping[str, Service] = MappingProxyType(
    {
        "s3": Service(
            "S3",
            {
                "endpoint": "endpoint",
                "region": "region",
                "access_key_id": "access_key_id",
                "secret_access_key": "secret_access_key",
                "session_token": "session_token",
                "virtual_hosted": "virtual_hosted_style_request",
                "anonymous": "skip_signature",
            },
            S3Store,
        ),
        "gs": Service(
            "Google Cloud Storage",
            {
                "service_account": "service_account",
                "service_account_key": "service_account_key",
                "endpoint": "base_url",
                "anonymous": "skip_signature",
            },
            GCSStore,
            files=("service_account",),
        ),
        "az": Service(
            "Azure Blob Storage",
            {
                "account": "account_name",
                "account_key": "account_key",
                "sas_key": "sas_key",
                "client_id": "client_id",
                "client_secret": "client_secret",
                "tenant_id": "tenant_id",
                "endpoint": "endpoint",
                "anonymous": "skip_signature",
            },
            AzureStore,
        ),
    }
)
"""Kinds of object stores, by the scheme of a location."""


@dataclass(frozen=True, slots=True)
class Address:
    """Says where objects lie. Its representation holds no secret."""

    scheme: str
    bucket: str
    key: str
    settings: tuple[tuple[str, str], ...] = field(repr=False)

    @staticmethod
    def of(location: str, context: ConnectorContext) -> Address:
        """Take a location apart. Raises `ConfigurationError` where it lacks its bucket or its key, or has a parameter
        that its store does not know, and `PathNotAllowed`."""
        scheme, _, rest = location.partition("://")
        scheme = scheme.lower()
        path, _, query = rest.partition("?")
        bucket, _, key = path.partition("/")
        service = SERVICES[scheme]
        if not bucket or not key or "@" in bucket:
            raise ConfigurationError(
                f"'{scheme}://{path.rpartition('@')[2]}': expected {scheme}://bucket/name, with keys after it: "
                f"?{'&'.join(f'{each}=...' for each in list(service.keys)[:4])}"
            )
        given = parse_qsl(query, keep_blank_values=True)
        for name, _value in given:
            if name not in service.keys:
                near = closest(name, list(service.keys))
                hint = f" Did you mean '{near}'?" if near else ""
                known = ", ".join(service.keys)
                raise ConfigurationError(
                    f"{scheme}://{path} has the unknown parameter '{name}'; {service.name} has {known}.{hint}"
                )
        settings = held_files(dict(given), service.files, context)
        name = unquote(key)
        if {"", ".", ".."} & set(name.removesuffix("/").split("/")) or not name.isprintable():
            raise ConfigurationError(
                f"{scheme}://{path}: the client of object storages takes no name with an empty part (`//`), with `.` "
                "or `..` as a part, or with a character that cannot be printed. Name another object."
            )
        return Address(scheme, bucket, name, tuple(sorted(settings.items())))

    @property
    def root(self) -> str:
        """Return the URL of the bucket, for messages."""
        return f"{self.scheme}://{self.bucket}"

    def store(self) -> ObjectStore:
        """Return the store of the bucket. Connects to nothing yet. Raises `ConfigurationError`."""
        return _store(self.scheme, self.bucket, self.settings)


@lru_cache(maxsize=64)
def _store(scheme: str, bucket: str, settings: tuple[tuple[str, str], ...]) -> ObjectStore:
    """Return the store of a bucket, the same for all who ask with the same keys. Keys that the location does not name
    come from the environment."""
    service = SERVICES[scheme]
    named = {service.keys[name]: value for name, value in settings if value}
    for name in ("virtual_hosted_style_request", "skip_signature"):
        if name in named:
            named[name] = named[name].lower() in ("1", "true", "yes")  # type: ignore[assignment]
    plain = dict(settings).get("endpoint", "").startswith("http://")
    try:
        return service.opened(
            bucket, config=named, client_options={**_CLIENT, "allow_http": plain}, retry_config=_RETRIES
        )
    except Exception:  # noqa: BLE001 - it raises plain ones whose words repeat the keys
        raise ConfigurationError(
            f"{scheme}://{bucket}: the store's settings cannot be used. See its endpoint, its keys and, for Azure, its "
            "account."
        ) from None
