"""Explains in words why no connection to an endpoint came about. Pure.

aiohttp is imported where an error is looked at: commands that send no request do without it."""

from __future__ import annotations

import errno
import http.client
import os
import socket
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG")
"""Holds the names of OpenSSL's errors for a peer that does not speak TLS."""


def cause_of(error: BaseException, url: str) -> str:
    """Describe why the connection to `url` failed, naming the host and port only. `url` holds no credential
    references."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    host, place = parts.hostname or "?", f"{parts.hostname or '?'}:{port}"
    for each in _chain(error):
        if (words := _of_tls(each, host, place) or _of_network(each, host, place, parts.scheme)) is not None:
            return words
    return type(error).__name__


def _of_tls(error: BaseException, host: str, place: str) -> str | None:
    import aiohttp

    match error:
        case aiohttp.ClientConnectorCertificateError():
            return _untrusted(error.certificate_error, host)
        case ssl.SSLCertVerificationError():
            return _untrusted(error, host)
        case ssl.SSLError() if error.reason in _NO_TLS:
            return f"{place} does not speak TLS: write http:// instead of https://"
        case ssl.SSLError():
            return f"no TLS connection to {place} came about ({error.reason or type(error).__name__})"
    return None


def _of_network(error: BaseException, host: str, place: str, scheme: str) -> str | None:
    import aiohttp

    match error:
        case socket.gaierror():
            return f"there is no host {host} ({error.strerror})"
        case ConnectionRefusedError():
            return f"connection refused: nothing listens at {place}"
        case TimeoutError():
            return f"{place} takes no connection: none came about in time"
        case (
            aiohttp.ServerDisconnectedError()
            | ConnectionResetError()
            | aiohttp.ClientResponseError()
            | http.client.HTTPException()
        ):
            hint = ": a server that wants https://, or none of HTTP" if scheme == "http" else ""
            return f"{place} closed the connection without an answer in HTTP{hint}"
        case OSError() if error.errno in errno.errorcode:
            return f"{place}: {os.strerror(error.errno or 0)}"
    return None


def _untrusted(error: BaseException, host: str) -> str:
    words = getattr(error, "verify_message", "") or str(error)
    return (
        f"the certificate of {host} is not trusted ({words}). Name the file with its authority's certificate in "
        "SSL_CERT_FILE, where the worker runs, or use the name that the certificate is for"
    )


def _chain(error: BaseException, depth: int = 5) -> Iterator[BaseException]:
    """Yield the errors that caused this one, the most specific first. aiohttp and urllib3 keep them in attributes."""
    named = (getattr(error, name, None) for name in ("os_error", "certificate_error", "reason"))
    for inner in (*named, error.__cause__):
        if isinstance(inner, BaseException) and depth:
            yield from _chain(inner, depth - 1)
    yield error
    if isinstance(error.__context__, BaseException) and error.__context__ is not error.__cause__ and depth:
        yield from _chain(error.__context__, depth - 1)
