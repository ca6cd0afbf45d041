"""Serves Google Cloud Storage's XML interface from memory, as far as object clients speak it, and checks the tokens
that a service account signs. Each object has a generation, and what names one is done only where it is that one."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from uuid import uuid4
from xml.sax.saxutils import escape

from cryptography.hazmat.primitives import serialization
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

BUCKET = "tests"
ACCOUNT = "loom@tests.invalid"
SCOPES = ("https://www.googleapis.com/auth/cloud-platform", "https://www.googleapis.com/auth/devstorage.read_write")
_PAGE = 100
"""Says how many objects one answer lists, so that a client has to ask again."""
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


@dataclass(frozen=True, slots=True)
class _Object:
    content: bytes
    generation: int
    changed: datetime

    @property
    def tag(self) -> str:
        return f'"{hashlib.md5(self.content, usedforsecurity=False).hexdigest()}"'


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


class _Refused(Exception):
    """Reports what the interface refuses, with its status and its code."""

    def __init__(self, status: int, code: str) -> None:
        self.answer = _Answer(status, f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode())
        super().__init__(code)


class GoogleStorage:
    """Represents a server with one bucket, and one account that may read and write it."""

    def __init__(self) -> None:
        self._objects: dict[str, _Object] = {}
        self._uploads: dict[str, dict[int, bytes]] = {}
        self._generations = itertools.count(1)
        self._lock = threading.Lock()
        self._key = RSAKey.generate_key(2048)
        self.port = 0

    @contextmanager
    def serving(self) -> Iterator[GoogleStorage]:
        """Serve on a free port of loopback."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, name="google-storage", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def environment(self) -> dict[str, str]:
        """Return variables that locations refer to: the endpoint, the account's key, and a folder of the caller's
        own in the bucket."""
        return {
            "GCS_FOLDER": uuid4().hex,
            "GCS_ENDPOINT": f"http://127.0.0.1:{self.port}",
            "GCS_KEY": self.account,
        }

    @cached_property
    def account(self) -> str:
        """Return the key of the account, as Google hands it out."""
        return account_of(self._key)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        storage = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1
            disable_nagle_algorithm = True

            def handle_one(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                try:
                    storage._see_token(headers.get("authorization", ""))
                    answer = storage._answered(self.command, self.path, headers, body)
                except _Refused as refused:
                    answer = refused.answer
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                if "content-length" not in answer.headers:
                    self.send_header("content-length", str(len(answer.body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(answer.body)

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_one  # noqa: N815 - named by the base class

            def log_message(self, *_: object) -> None:
                """Write nothing about a request on stderr."""

        return Handler

    def _see_token(self, authorization: str) -> None:
        try:
            token = jwt.decode(authorization.removeprefix("Bearer "), self._key, algorithms=["RS256"])
            jwt.JWTClaimsRegistry(
                iss={"essential": True, "value": ACCOUNT}, exp={"essential": True}, scope={"essential": True}
            ).validate(token.claims)
        except (JoseError, ValueError):
            raise _Refused(401, "AuthenticationRequired") from None
        if not set(str(token.claims["scope"]).split()) & set(SCOPES):
            raise _Refused(403, "AccessDenied")

    def _answered(self, method: str, path: str, headers: dict[str, str], body: bytes) -> _Answer:
        url = urlsplit(path)
        bucket, _, key = unquote(url.path).removeprefix("/").partition("/")
        query = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
        if bucket != BUCKET:
            raise _Refused(404, "NoSuchBucket")
        with self._lock:
            if not key:
                return self._listed(query)
            if "uploads" in query or "uploadId" in query:
                return self._uploaded(method, key, query, headers, body)
            if method == "PUT":
                return self._put(key, headers, self._copied(headers) if "x-goog-copy-source" in headers else body)
            found = self._objects.get(key)
            if found is None:
                raise _Refused(404, "NoSuchKey")
            if method == "DELETE":
                del self._objects[key]
                return _Answer(204)
            return _sent(found, method, query, headers)

    def _copied(self, headers: dict[str, str]) -> bytes:
        source = unquote(headers["x-goog-copy-source"]).removeprefix("/").removeprefix(f"{BUCKET}/")
        found = self._objects.get(source)
        if found is None:
            raise _Refused(404, "NoSuchKey")
        return found.content

    def _put(self, key: str, headers: dict[str, str], content: bytes) -> _Answer:
        wanted = headers.get("x-goog-if-generation-match")
        there = self._objects.get(key)
        if wanted is not None and int(wanted) != (there.generation if there else 0):
            raise _Refused(412, "PreconditionFailed")
        made = self._objects[key] = _Object(content, next(self._generations), datetime.now(UTC))
        return _Answer(200, headers={"etag": made.tag, "x-goog-generation": str(made.generation)})

    def _uploaded(self, method: str, key: str, query: dict[str, str], headers: dict[str, str], body: bytes) -> _Answer:
        if "uploads" in query:
            upload = uuid4().hex
            self._uploads[upload] = {}
            return _xml(
                "InitiateMultipartUploadResult",
                f"<Bucket>{BUCKET}</Bucket><Key>{escape(key)}</Key><UploadId>{upload}</UploadId>",
            )
        parts = self._uploads.get(query["uploadId"])
        if parts is None:
            raise _Refused(404, "NoSuchUpload")
        if method == "PUT":
            parts[int(query["partNumber"])] = body
            return _Answer(200, headers={"etag": f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'})
        del self._uploads[query["uploadId"]]
        if method == "DELETE":
            return _Answer(204)
        named = [int(each) for each in re.findall(rb"<PartNumber>(\d+)</PartNumber>", body)]
        put = self._put(key, headers, b"".join(parts[each] for each in named))
        inside = f"<Bucket>{BUCKET}</Bucket><Key>{escape(key)}</Key><ETag>{escape(put.headers['etag'])}</ETag>"
        made = _xml("CompleteMultipartUploadResult", inside)
        return _Answer(200, made.body, {**made.headers, **put.headers})

    def _listed(self, query: dict[str, str]) -> _Answer:
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        after = query.get("continuation-token") or query.get("start-after", "")
        files: list[str] = []
        folders: set[str] = set()
        last = ""
        more = False
        for key in sorted(each for each in self._objects if each.startswith(prefix) and each > after):
            head, found, _ = key.removeprefix(prefix).partition(delimiter) if delimiter else (key, "", "")
            if len(files) + len(folders) >= _PAGE and f"{prefix}{head}{found}" not in folders:
                more = True
                break
            last = key
            if found:
                folders.add(f"{prefix}{head}{found}")
            else:
                files.append(key)
        return _xml(
            "ListBucketResult",
            f"<Name>{BUCKET}</Name><Prefix>{escape(prefix)}</Prefix><IsTruncated>{str(more).lower()}</IsTruncated>"
            + (f"<NextContinuationToken>{escape(last)}</NextContinuationToken>" if more else "")
            + "".join(_entry(key, self._objects[key]) for key in files)
            + "".join(f"<CommonPrefixes><Prefix>{escape(each)}</Prefix></CommonPrefixes>" for each in sorted(folders)),
        )


def account_of(key: RSAKey) -> str:
    """Return the key of a service account, as Google hands it out, that signs with an RSA key."""
    form = serialization.PrivateFormat.PKCS8
    private = key.private_key
    assert private is not None
    pem = private.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    named = {"type": "service_account", "client_email": ACCOUNT, "private_key_id": "tests"}
    return json.dumps({**named, "private_key": pem.decode()})


def _sent(found: _Object, method: str, query: dict[str, str], headers: dict[str, str]) -> _Answer:
    if "generation" in query and int(query["generation"]) != found.generation:
        raise _Refused(404, "NoSuchKey")
    if headers.get("if-match", found.tag) != found.tag:
        raise _Refused(412, "PreconditionFailed")
    named = {
        "etag": found.tag,
        "x-goog-generation": str(found.generation),
        "last-modified": format_datetime(found.changed, usegmt=True),
    }
    size = len(found.content)
    asked = _RANGE.fullmatch(headers.get("range", ""))
    if method == "HEAD" or asked is None:
        return _Answer(200, found.content, {**named, "content-length": str(size)})
    begin = int(asked[1]) if asked[1] else max(0, size - int(asked[2]))
    end = min(int(asked[2]) + 1, size) if asked[1] and asked[2] else size
    if begin >= size:
        raise _Refused(416, "InvalidRange")
    return _Answer(206, found.content[begin:end], {**named, "content-range": f"bytes {begin}-{end - 1}/{size}"})


def _entry(key: str, found: _Object) -> str:
    changed = found.changed.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    inside = f"<Key>{escape(key)}</Key><Generation>{found.generation}</Generation><Size>{len(found.content)}</Size>"
    return f"<Contents>{inside}<LastModified>{changed}</LastModified><ETag>{escape(found.tag)}</ETag></Contents>"


def _xml(name: str, inside: str) -> _Answer:
    body = f'<?xml version="1.0" encoding="UTF-8"?><{name}>{inside}</{name}>'
    return _Answer(200, body.encode(), {"content-type": "application/xml"})
