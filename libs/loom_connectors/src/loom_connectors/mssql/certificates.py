"""Compares the certificate of a server with the host that was asked for, in the place of the driver, which asks
pyOpenSSL for what its newer versions no longer have (docs/adr/0063)."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytds.tls
from cryptography import x509
from cryptography.x509.oid import NameOID


def names(certificate: x509.Certificate, host: str) -> bool:
    """Tell whether a certificate is one of a host, as RFC 6125 has it: by its alternative names, of which the first
    part may be `*`, or, where it has none, by its common name."""
    try:
        known = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return any(str(each.value).lower() == host.lower() for each in common)
    try:
        return ip_address(host) in known.get_values_for_type(x509.IPAddress)
    except ValueError:
        return any(_is_named(host.lower(), each.lower()) for each in known.get_values_for_type(x509.DNSName))


def _is_named(host: str, name: str) -> bool:
    if name.startswith("*."):
        first, _, rest = host.partition(".")
        return bool(first) and rest == name[2:]
    return host == name


def _validated(cert: Any, name: bytes) -> bool:
    return names(cert.to_cryptography(), name.decode("ascii"))


def verify() -> None:
    """Have the driver compare them this way."""
    pytds.tls.validate_host = _validated
