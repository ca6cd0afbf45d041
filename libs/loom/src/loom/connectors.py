"""Shows how to add a connector of your own: subclass `DataConnector`, register it under a scheme, use it as
`scheme://...`."""

from __future__ import annotations

from loom_connectors.custom import DataConnector, ExtractResult, LoadResult, Record
from loom_connectors.registry import register_connector

__all__ = ["DataConnector", "ExtractResult", "LoadResult", "Record", "register_connector"]
