"""Asks a web server for a file: in ranges, each of the same version; or once and whole, where it has no ranges."""

from __future__ import annotations

import io
import tempfile
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, cast
from urllib.parse import unquote, urlsplit, urlunsplit

import urllib3
from urllib3.exceptions import HTTPError, LocationParseError, LocationValueError, MaxRetryError, ResponseError

from loom_common.errors import AccessRefused, DependencyUnavailable, LoomError, SourceError
from loom_common.http.connection_errors import cause_of
from loom_connectors.files.storage import FileState, Opened

BLOCK = 1024 * 1024
_KEPT = 8
"""The number of blocks that are kept: a reader of columns goes from one to the other and back."""
MOST_AT_ONCE = 1024 * 1024 * 1024
"""The most bytes of a file that is fetched whole, to a temporary file, because the server has no ranges."""
_IN_MEMORY = 8 * 1024 * 1024
_TIMEOUT = urllib3.Timeout(connect=5.0, read=60.0)
_RETRIES = urllib3.Retry(
    total=4, backoff_factor=0.2, status_forcelist=(429, 500, 502, 503, 504), raise_on_status=False, redirect=5
)
_HEADERS = {"User-Agent": "loom", "Accept-Encoding": "identity"}


class _Answered(Exception):  # this is translated where it is caught
    """Reports a status that is no success."""

    def __init__(self, status: int) -> None:
        self.status = status


class _Changed(Exception):  # this is translated where it is caught
    """Reports that the file is another one than when it was opened."""


class _TooLarge(Exception):  # this is translated where it is caught
    """Reports that the file has to be fetched whole, and is too large for that."""


class WebClient:
    """Reads one file of a web server, in ranges."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        user = parts.netloc.rpartition("@")[0]
        self._url = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
        self._headers = {**_HEADERS, **(urllib3.util.make_headers(basic_auth=unquote(user)) if user else {})}
        self._pool = urllib3.PoolManager(num_pools=2, maxsize=4, timeout=_TIMEOUT, retries=_RETRIES)

    def state(self) -> FileState | None:
        """Return the state; None where there is no such file."""
        tries: tuple[tuple[str, dict[str, str]], ...] = (("HEAD", {}), ("GET", {"Range": "bytes=0-0"}))
        for method, headers in tries:
            try:
                with self._asked(method, headers) as answer:
                    return _state(answer)
            except _Answered as answered:
                if answered.status in (404, 410):
                    return None
                if method == "GET" or answered.status not in (400, 403, 405, 501):  # some allow no HEAD
                    raise
        return None

    @contextmanager
    def opened(self) -> Iterator[Opened]:
        """Ask for the file, and yield it for reading from any place: in ranges where the server gives these, else
        from a copy of the whole."""
        whole: BinaryIO | None = None
        first = b""
        with self._asked("GET", {"Range": f"bytes=0-{BLOCK - 1}"}) as answer:
            state = _state(answer)
            has_ranges = answer.status == 206 and self._is_range(answer, 0, min(BLOCK, state.size))
            if has_ranges:
                first = answer.read(BLOCK, decode_content=False)
            elif answer.status == 200:
                whole = self._spooled(answer)
        if not has_ranges:
            yield from self._whole(whole, state)
            return
        with io.BufferedReader(_Ranges(self, state, first), 64 * 1024) as stream:
            yield Opened(cast("BinaryIO", stream), state)

    def _whole(self, whole: BinaryIO | None, state: FileState) -> Iterator[Opened]:
        """Yield the file, which is fetched whole unless it was already."""
        if whole is None:
            with self._asked("GET", {}) as answer:
                if answer.status != 200:
                    raise _Answered(answer.status)
                state = _state(answer)
                whole = self._spooled(answer)
        with whole:
            yield Opened(whole, FileState(whole.seek(0, io.SEEK_END), state.version, state.tag))

    def part(self, start: int, end: int, state: FileState) -> bytes:
        """Return a range of the file. Raises `_Changed` where it is another one than `state` says."""
        with self._asked("GET", {"Range": f"bytes={start}-{end - 1}"}) as answer:
            if not self._is_range(answer, start, end) or _state(answer).version != state.version:
                raise _Changed
            content = answer.read(end - start, decode_content=False)
        if len(content) != end - start:
            raise _Changed
        return content

    def _is_range(self, answer: urllib3.BaseHTTPResponse, start: int, end: int) -> bool:
        """Tell whether an answer is these bytes of the file, as it is. A server may send fewer or other ones, leave out
        how many there are, or pack them: a range of what is packed is none of the file."""
        told = answer.headers.get("Content-Range", "").strip().lower()
        is_told = answer.status == 206 and told.startswith(f"bytes {start}-{end - 1}/")
        return is_told and not self._is_packed(answer)

    def _is_packed(self, answer: urllib3.BaseHTTPResponse) -> bool:
        """Tell whether an answer packs the file. One whose name says `.gz` is itself what the header says."""
        said = answer.headers.get("Content-Encoding", "identity").strip().lower()
        return said not in ("", "identity") and not (
            said in ("gzip", "x-gzip") and urlsplit(self._url).path.lower().endswith(".gz")
        )

    def _spooled(self, answer: urllib3.BaseHTTPResponse) -> BinaryIO:
        """Fetch the file whole, to the disk where it is not small."""
        size = _state(answer).size
        if size > MOST_AT_ONCE:
            raise _TooLarge
        unpacks = self._is_packed(answer)
        target = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - it is the caller's to close
        written = 0
        while chunk := answer.read(BLOCK, decode_content=unpacks):
            written += len(chunk)
            if written > MOST_AT_ONCE:
                target.close()
                raise _TooLarge
            target.write(chunk)
        target.seek(0)
        return cast("BinaryIO", target)

    @contextmanager
    def _asked(self, method: str, headers: dict[str, str]) -> Iterator[urllib3.BaseHTTPResponse]:
        answer = self._pool.request(
            method, self._url, headers={**self._headers, **headers}, preload_content=False, redirect=True
        )
        try:
            if answer.status == 416:  # an empty file has no first byte
                yield _Empty(answer)
            elif answer.status not in (200, 206):
                raise _Answered(answer.status)
            else:
                yield answer
        finally:
            answer.close()


class _Empty(urllib3.HTTPResponse):
    """Represents the answer to a request for a range of an empty file."""

    def __init__(self, answer: urllib3.BaseHTTPResponse) -> None:
        super().__init__(b"", headers={**answer.headers, "Content-Length": "0"}, status=200)


class _Ranges(io.RawIOBase):
    """Reads a file from any byte."""

    def __init__(self, client: WebClient, state: FileState, first: bytes) -> None:
        super().__init__()
        self._client, self._state = client, state
        self._at = 0
        self._blocks = OrderedDict({0: first})

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._state.size}[whence]
        self._at = max(start + offset, 0)
        return self._at

    def readinto(self, buffer: Any) -> int:
        most = min(len(buffer), self._state.size - self._at)
        if most <= 0:
            return 0
        number, start = divmod(self._at, BLOCK)
        if number not in self._blocks:
            end = min((number + 1) * BLOCK, self._state.size)
            self._blocks[number] = self._client.part(number * BLOCK, end, self._state)
        self._blocks.move_to_end(number)
        while len(self._blocks) > _KEPT:
            self._blocks.popitem(last=False)
        piece = self._blocks[number][start : start + most]
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)


def _state(answer: urllib3.BaseHTTPResponse) -> FileState:
    """Return the state of a file by the headers of an answer: its size is 0 where the server does not tell it."""
    told = answer.headers.get("Content-Range", "").rpartition("/")[2] or answer.headers.get("Content-Length", "")
    size = int(told) if told.isascii() and told.isdigit() else 0
    tag = answer.headers.get("ETag")
    return FileState(size, (tag, answer.headers.get("Last-Modified"), size), tag)


@contextmanager
def web_trouble(shown: str) -> Iterator[None]:
    """Turn what a web server answers into `AccessRefused`, `SourceError` or `DependencyUnavailable`. The cause is left
    out: it holds the URL, which may have keys."""
    try:
        yield
    except LoomError:
        raise
    except _Changed:
        raise SourceError(f"{shown} changed while the run was reading it. Start a new run.") from None
    except _TooLarge:
        raise SourceError(
            f"{shown}: the server has no ranges, and the file has more than {MOST_AT_ONCE:,} bytes. Fetch it, and name "
            "the file."
        ) from None
    except _Answered as answered:
        raise _told(shown, answered.status) from None
    except FileNotFoundError:
        raise _told(shown, 404) from None
    except (LocationParseError, LocationValueError):
        raise SourceError(f"{shown}: the server redirects to what is no address of http or https.") from None
    except MaxRetryError as error:
        if isinstance(error.reason, ResponseError):
            words = "redirects from one address to the next and gives no file. Correct extract.source."
            raise SourceError(f"{shown}: the server {words}") from None
        raise DependencyUnavailable(f"{shown}: the server could not be reached: {cause_of(error, shown)}.") from None
    except HTTPError as error:
        raise DependencyUnavailable(f"{shown}: the server could not be reached: {cause_of(error, shown)}.") from None


def _told(shown: str, status: int) -> LoomError:
    if status in (401, 403, 407):
        return AccessRefused(
            f"{shown}: the server refused with {status}. Name user and password in the location, as references: "
            "`https://${USER}:${PASSWORD}@host/path`."
        )
    if status in (408, 425, 429) or status >= 500:
        return DependencyUnavailable(f"{shown}: the server answered {status}.")
    return SourceError(f"{shown}: the server answered {status}. Correct extract.source.")
