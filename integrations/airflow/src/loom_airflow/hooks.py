"""Connects to Loom's API as a connection of Airflow says."""

from __future__ import annotations

from typing import Any

from airflow.exceptions import AirflowNotFoundException
from airflow.sdk import BaseHook, Connection

from loom_airflow.api import LoomApi, LoomApiAway, LoomApiError


class LoomHook(BaseHook):
    """Speaks to Loom's API. Of the connection, the host is the API's address, with or without `http://` or `https://`;
    the password is the token. `{"verify": false}` in its extras leaves the server's certificate unchecked."""

    conn_name_attr = "loom_conn_id"
    default_conn_name = "loom_default"
    conn_type = "loom"
    hook_name = "Loom"

    def __init__(self, loom_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.loom_conn_id = loom_conn_id

    def get_conn(self) -> LoomApi:
        """Return the API that the connection names."""
        return api_of(self.get_connection(self.loom_conn_id))

    async def aget_conn(self) -> LoomApi:
        """Return the API that the connection names, for an event loop."""
        if hasattr(self, "aget_connection"):
            return api_of(await self.aget_connection(self.loom_conn_id))
        from asgiref.sync import sync_to_async  # Airflow 3.0 has no other way

        return api_of(await sync_to_async(self.get_connection)(self.loom_conn_id))

    def test_connection(self) -> tuple[bool, str]:
        """Tell whether the API answers, for Airflow's `Test` button."""
        try:
            return True, f"Loom {self.get_conn().version()} answers."
        except (LoomApiError, LoomApiAway, AirflowNotFoundException) as error:
            return False, str(error)

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Return what the form of a connection shows."""
        return {
            "hidden_fields": ["login", "schema"],
            "relabeling": {"host": "Address of the API", "password": "Token"},
            "placeholders": {"host": "http://127.0.0.1:8780", "password": "what `loom token create` printed"},
        }


def api_of(connection: Connection) -> LoomApi:
    """Return the API that a connection names. Raises `ValueError` for one without a host."""
    host = (connection.host or "").rstrip("/")
    if not host:
        raise ValueError(
            f"The connection {connection.conn_id} names no host. Give the address of Loom's API there, such as "
            "http://127.0.0.1:8780."
        )
    if "://" not in host:
        scheme = connection.schema if connection.schema in ("http", "https") else "http"
        host = f"{scheme}://{host}"
    scheme, _, place = host.partition("://")
    if connection.port and ":" not in place.partition("/")[0]:
        server, _, path = place.partition("/")
        place = f"{server}:{connection.port}" + (f"/{path}" if path else "")
    return LoomApi(f"{scheme}://{place}", connection.password, verify=connection.extra_dejson.get("verify", True))
