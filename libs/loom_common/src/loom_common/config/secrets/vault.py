"""Finds secrets in HashiCorp Vault or OpenBao: `${vault:secret/shop/db#password}`.

The first part of the path is the mount of a KV engine of version 2; what follows is the path in it, as in
`vault kv get`. The address, the token and the namespace come from Vault's own variables. The protocol is one GET, so no
client library is needed (https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2#read-secret-version)."""

from __future__ import annotations

import json
import os
import ssl
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import HTTPRedirectHandler, HTTPSHandler, OpenerDirector, Request, build_opener

from loom_common.config.secrets.fields import field_of, split_field
from loom_common.errors import ConfigurationError, DependencyUnavailable

_SECONDS = 5.0
_LONGEST_BYTES = 1_000_000


class VaultProvider:
    """Asks the Vault that `VAULT_ADDR` names, with the token of `VAULT_TOKEN` or of the file `~/.vault-token`, where
    Vault's agent and `vault login` leave it. The token is read at each look-up, so that a renewed one is used."""

    remedy = "Write it with `vault kv put`: {name} names nothing in the Vault of VAULT_ADDR."

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self._environ = os.environ if environ is None else environ

    def get(self, name: str) -> str | None:
        secret, field = split_field(name)
        mount, separator, path = secret.strip("/").partition("/")
        if not separator:
            raise ConfigurationError(
                f"'{name}' is no path of Vault. Expected mount/path#field: secret/shop/db#password."
            )
        fields = self._read(f"{quote(mount)}/data/{quote(path)}", f"Vault's secret {mount}/{path}")
        if fields is None:
            return None
        if field is None and len(fields) != 1:
            there = ", ".join(sorted(fields)[:10]) or "none"
            raise ConfigurationError(f"Vault's secret {secret} needs a field, {secret}#field; its fields are: {there}.")
        return field_of(fields, field if field is not None else next(iter(fields)), f"Vault's secret {secret}")

    def _read(self, path: str, place: str) -> dict[str, Any] | None:
        """Return the fields of a secret's newest version; None where there is none. Raises `ConfigurationError`,
        `DependencyUnavailable`."""
        address = self._environ.get("VAULT_ADDR", "").rstrip("/")
        if not address.startswith(("http://", "https://")):
            raise ConfigurationError("Set VAULT_ADDR to the http(s) address of Vault where the worker runs.")
        try:
            with self._opener().open(Request(f"{address}/v1/{path}", headers=self._headers()), timeout=_SECONDS) as got:  # noqa: S310 - http or https, by the check above
                return _fields(got.read(_LONGEST_BYTES), place)
        except HTTPError as error:
            error.close()
            if error.code == HTTPStatus.NOT_FOUND:
                return None
            if error.code in (HTTPStatus.FORBIDDEN, HTTPStatus.UNAUTHORIZED, HTTPStatus.BAD_REQUEST):
                raise ConfigurationError(
                    f"{address} refused to give {place} (HTTP {error.code}). Check VAULT_TOKEN, its policy and "
                    "VAULT_NAMESPACE."
                ) from None
            raise DependencyUnavailable(f"{address} cannot give {place} now (HTTP {error.code}).") from None
        except (URLError, OSError) as error:
            reason = error.reason if isinstance(error, URLError) else error
            raise DependencyUnavailable(f"Vault at {address} cannot be reached: {type(reason).__name__}.") from error

    def _headers(self) -> dict[str, str]:
        token = self._environ.get("VAULT_TOKEN") or _token_in(Path(self._environ.get("HOME", "~")).expanduser())
        if not token:
            raise ConfigurationError("Set VAULT_TOKEN where the worker runs, or run `vault login` there.")
        if not token.isascii() or not token.isprintable():
            raise ConfigurationError("VAULT_TOKEN holds characters that no header may have.")
        namespace = self._environ.get("VAULT_NAMESPACE")
        headers = {"X-Vault-Token": token, "X-Vault-Request": "true"}
        return headers | ({"X-Vault-Namespace": namespace} if namespace else {})

    def _opener(self) -> OpenerDirector:
        """Return an opener that follows no redirection, because that would carry the token elsewhere."""
        trusted = self._environ.get("VAULT_CACERT")
        try:
            context = ssl.create_default_context(cafile=trusted)
        except OSError as error:
            raise ConfigurationError(f"The file {trusted} of VAULT_CACERT cannot be read: {error.strerror}.") from error
        return build_opener(_NoRedirection, HTTPSHandler(context=context))


class _NoRedirection(HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


def _token_in(home: Path) -> str | None:
    try:
        return (home / ".vault-token").read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return None


def _fields(body: bytes, place: str) -> dict[str, Any] | None:
    """Read the answer of a KV engine of version 2. The data of a deleted version are null."""
    try:
        found = json.loads(body)["data"]["data"]
    except (ValueError, KeyError, TypeError):
        raise ConfigurationError(
            f"{place} was not answered as a KV engine of version 2 does. Mount one: vault secrets enable -version=2 kv."
        ) from None
    return found if isinstance(found, dict) else None
