"""Makes certificates of servers on this machine."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path


def certificate(folder: Path, name: str, address: str = "IP:127.0.0.1") -> Path:
    """Make a certificate for `address` that vouches for itself, and its key beside it."""
    path = folder / f"{name}.pem"
    subject = ["-subj", f"/CN={name}", "-addext", f"subjectAltName={address}", "-days", "1", "-nodes"]
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-keyout", str(path.with_suffix(".key"))]
    subprocess.run(["openssl", "req", "-x509", *subject, *key, "-out", str(path)], check=True, capture_output=True)
    return path


def shown_by_a_server(certificate: Path) -> ssl.SSLContext:
    """Return the context of a server that shows the certificate."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    return context
