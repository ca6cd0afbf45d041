"""Tests whose certificate a SQL Server may show."""

from __future__ import annotations

import datetime as dt
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from loom_connectors.mssql.certificates import names

KEY = ec.generate_private_key(ec.SECP256R1())


def certificate(common, *alternatives):
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])
    now = dt.datetime.now(dt.UTC)
    made = x509.CertificateBuilder(name, name, KEY.public_key(), 1, now, now + dt.timedelta(days=1))
    if alternatives:
        made = made.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    return made.sign(KEY, hashes.SHA256())


AZURE = certificate("cr5.eastus1-a.control.database.windows.net", x509.DNSName("*.database.windows.net"))
NUMBERED = certificate("db", x509.IPAddress(ip_address("10.0.0.7")), x509.DNSName("db.example.com"))


@pytest.mark.parametrize(
    ("shown", "host", "whether"),
    [
        (AZURE, "shop.database.windows.net", True),
        (AZURE, "SHOP.Database.windows.net", True),
        (AZURE, "a.shop.database.windows.net", False),
        (AZURE, "database.windows.net", False),
        (AZURE, "cr5.eastus1-a.control.database.windows.net", False),
        (NUMBERED, "db.example.com", True),
        (NUMBERED, "10.0.0.7", True),
        (NUMBERED, "10.0.0.8", False),
        (NUMBERED, "db", False),
        (certificate("db"), "db", True),
        (certificate("db"), "other", False),
    ],
)
def test_a_certificate_names_its_hosts_alone(shown, host, whether):
    assert names(shown, host) is whether
