"""Tells which addresses a record may name: public ones, and those of networks that the worker's owner allows.

`LOOM_ALLOWED_NETWORKS` of the worker names private networks that may be reached all the same, e.g. `10.1.0.0/16`."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping, Sequence

from loom_common.domain.values.urls import redacted
from loom_common.errors import ConfigurationError, RecordError

VARIABLE = "LOOM_ALLOWED_NETWORKS"
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def allowed_networks(environ: Mapping[str, str] | None = None) -> tuple[Network, ...]:
    """Return the private networks that may be reached. Raises `ConfigurationError` where the variable names none."""
    text = (os.environ if environ is None else environ).get(VARIABLE, "")
    try:
        return tuple(ipaddress.ip_network(each.strip()) for each in text.split(",") if each.strip())
    except ValueError as error:
        raise ConfigurationError(f"{VARIABLE} is no list of networks, such as 10.1.0.0/16,fd00::/8: {error}.") from None


def may_be_reached(address: str, allowed: Sequence[Network] = ()) -> bool:
    """Tell whether an IP address is a public one, or lies in one of the allowed networks."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None) or getattr(found, "sixtofour", None)
    found = mapped or found
    if any(found in network for network in allowed if network.version == found.version):
        return True
    return found.is_global and not found.is_multicast


def shown(url: str) -> str:
    """Return an address without user, password and query, which may hold keys."""
    return redacted(url.partition("?")[0])[:300]


def refused(url: str, why: str) -> RecordError:
    """Return the error of an address that is not fetched."""
    words = f"{shown(url)} is not fetched: {why}. Networks that may be reached stand in {VARIABLE} of the worker"
    return RecordError(words, code="attachment_refused")


def too_large(place: str, most: int) -> RecordError:
    """Return the error of an attachment of more than `most` bytes."""
    return RecordError(f"{place} has more than {most:,} bytes", code="attachment_too_large")
