"""Lets one process at a time work on a result in an object store.

The lock is an object that is created only where there is none. Its owner writes it anew every few seconds; one that
nobody wrote for a while belonged to a process that died, and is taken over. No clocks are compared: who waits sees
for itself how long the object stayed the same."""

from __future__ import annotations

import random
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import obstore
import obstore.exceptions as store_errors
from obstore.store import ObjectStore

from loom_common.errors import DependencyUnavailable

LEASE = 30.0
"""The seconds after which a lock that nobody wrote anew is taken over."""
_PATIENCE = 900.0
_WAIT = 0.05, 0.5
_here: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
"""Lets the threads of this process wait for one another without asking the store."""


class ObjectLock:
    """Represents the lock at one key of a bucket."""

    def __init__(self, store: ObjectStore, root: str, key: str) -> None:
        self._store, self._key = store, key
        self._shown = f"{root}/{key}"
        self._written: obstore.UpdateVersion = {}
        self._owner = uuid4().hex
        self.is_lost = False
        """Tells whether another process took it over."""

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock. Raises `DependencyUnavailable` where another process holds it for too long, or took it over
        because this one did not write it for so long."""
        with _here[self._shown]:
            self._take()
            done = threading.Event()
            renewing = threading.Thread(target=self._renew, args=(done,), name="object-lock", daemon=True)
            renewing.start()
            try:
                yield
            finally:
                done.set()
                renewing.join()
                if not self.is_lost:
                    obstore.delete(self._store, self._key)
        if self.is_lost:
            raise DependencyUnavailable(f"{self._shown} was taken over while this process held it.")

    def _take(self) -> None:
        seen: obstore.UpdateVersion | None = None
        began = since = time.monotonic()
        while True:
            try:
                return self._write("create")
            except store_errors.AlreadyExistsError:
                pass
            found = self._found()
            if found != seen:
                since, seen = time.monotonic(), found
            elif found is not None and time.monotonic() - since > LEASE:
                try:
                    return self._write(found)
                except store_errors.PreconditionError:
                    continue
            if time.monotonic() - began > _PATIENCE:
                raise DependencyUnavailable(f"{self._shown} is held by another process for {_PATIENCE:.0f} seconds.")
            time.sleep(random.uniform(*_WAIT))  # noqa: S311 - spreads, hides nothing

    def _renew(self, done: threading.Event) -> None:
        while not done.wait(LEASE / 4):
            try:
                self._write(self._written)
            except (store_errors.PreconditionError, FileNotFoundError):
                self.is_lost = True
                return
            except store_errors.BaseError:  # it may pass before the lease ends
                continue

    def _write(self, mode: obstore.PutMode) -> None:
        content = f"{self._owner} {uuid4().hex}".encode()
        self._written = _named(obstore.put(self._store, self._key, content, mode=mode, use_multipart=False))

    def _found(self) -> obstore.UpdateVersion | None:
        """Return which lock is there; None where there is none."""
        try:
            return _named(obstore.head(self._store, self._key))
        except FileNotFoundError:
            return None


def _named(found: obstore.PutResult | obstore.ObjectMeta) -> obstore.UpdateVersion:
    """Name an object as it is now, so that no other takes its place: S3 and Azure compare its tag, Google its
    version."""
    named: obstore.UpdateVersion = {}
    if (tag := found["e_tag"]) is not None:
        named["e_tag"] = tag
    if (version := found["version"]) is not None:
        named["version"] = version
    return named
