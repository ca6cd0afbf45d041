"""Translates what an object store answers: what happened, where, what to do, and no secret."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import obstore.exceptions as store_errors

from loom_common.errors import (
    AccessRefused,
    DependencyUnavailable,
    LoomError,
    PermanentError,
)

_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>([A-Za-z0-9]{1,60})</Code>")
_REFUSED = {"401", "403"}
_KEYS = {
    "s3": "`?access_key_id=${S3_KEY}&secret_access_key=${S3_SECRET}`",
    "gs": "`?service_account_key=${GCS_KEY}`",
    "az": "`?account=name&account_key=${AZURE_KEY}`",
}
"""Says by the scheme of a location how keys are named in it."""


class Changed(Exception):  # this is translated where it is caught: a source says which file it was
    """An object was written to while it was being read."""


@contextmanager
def store_trouble(place: str, trouble: type[PermanentError], remedy: str) -> Iterator[None]:
    """Turn what an object store answers about `place` into `AccessRefused`, `trouble` (it is not there) or
    `DependencyUnavailable` (anything that may pass). The cause is left out: it holds the request, which may have keys
    in its URL."""
    try:
        yield
    except LoomError:
        raise
    except FileNotFoundError:
        raise trouble(f"{place}: there is no such object. {remedy}") from None
    except Changed:
        raise trouble(f"{place} changed while the run was reading it. Start a new run.") from None
    except store_errors.BaseError as error:
        raise _told(error, place, trouble, remedy) from None


def _told(error: store_errors.BaseError, place: str, trouble: type[PermanentError], remedy: str) -> LoomError:
    words = str(error)
    status = found[1] if (found := _STATUS.search(words)) else ""
    code = f" ({found[1]})" if (found := _CODE.search(words)) else ""
    denied = isinstance(error, store_errors.PermissionDeniedError | store_errors.UnauthenticatedError)
    if denied or status in _REFUSED:
        return AccessRefused(f"{place}: the store refused the keys{code}. {_remedy_of_keys(place)}")
    if "KeyTooLong" in code:
        return trouble(f"{place}: the name is too long for the store, as are those of staged rows beside it{code}.")
    if status == "404":
        return trouble(f"{place}: there is no such bucket or object{code}. {remedy}")
    if status.startswith("4") and status not in ("408", "409", "412", "425", "429"):
        return trouble(f"{place}: the store refused the request with {status}{code}. {remedy}")
    if "metadata" in words and "credential" in words.lower():
        return AccessRefused(f"{place}: there are no keys for it. {_remedy_of_keys(place)}")
    answer = f"answered {status}{code}" if status else "could not be reached"
    return DependencyUnavailable(f"{place}: the store {answer}.")


def _remedy_of_keys(place: str) -> str:
    written = _KEYS[place.partition("://")[0]]
    return (
        "Set the environment variables of its keys where the worker runs, or name them in the location: "
        f"{written}; and see that they may read and write there."
    )
