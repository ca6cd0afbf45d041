"""Finds out whether the package `arbiter-ai` is installed, and imports it without a side effect.

It is half a gigabyte and takes seconds to import, so it is an extra, and imported where an evaluator of a pipeline
needs it. Left to itself its import reads a `.env` file into the environment, fetches prices, and begins to send
telemetry where a token for that is set. Almost half of its import is `litellm`, of which it uses the price list: that
waits until somebody asks for it. Loom does not, because it counts what judgements cost by its own prices."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from loom_common import extras
from loom_common.errors import PermanentError

_DURING_IMPORT = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "PYTHON_DOTENV_DISABLED": "1", "LOGFIRE_TOKEN": None}
_PRICE_LIST = "litellm"
_importing = threading.Lock()
"""One thread at a time changes the environment, and puts it back."""


def remedy() -> str:
    """Say how it is installed where evaluators run."""
    return f"Install it where the evaluators run: {extras.remedy('arbiter')}"


def installed() -> bool:
    """Tell whether it is here. Imports nothing."""
    return importlib.util.find_spec("arbiter_ai") is not None


def arbiter() -> Any:
    """Import the package. The first time takes seconds: call it from a thread. Raises `PermanentError` where it is not
    here.

    Its log is turned off: what fails is told by Loom, and what it says of prices is not what Loom pays."""
    if not installed():
        raise PermanentError(f"This pipeline's evaluators are Arbiter's, which is not installed here. {remedy()}.")
    with _importing:
        if "arbiter_ai" not in sys.modules:
            with _environment(_DURING_IMPORT), put_off(_PRICE_LIST):
                importlib.import_module("arbiter_ai")
            calculating: Any = importlib.import_module("arbiter_ai.core.cost_calculator")
            calculating._cost_calculator = NoCosts()
            logging.getLogger("arbiter").setLevel(logging.CRITICAL + 1)
    return sys.modules["arbiter_ai"]


class NoCosts:
    """Stands in for Arbiter's cost calculator, which its evaluators ask after each answer: all is free there."""

    async def ensure_loaded(self) -> None:
        """Load no prices."""

    def calculate_cost(self, *question: object, **tokens: object) -> float:
        """Return 0.0."""
        return 0.0


class PutOff(ModuleType):
    """Stands in for a module, which is imported when something of it is used."""

    def __getattr__(self, name: str) -> Any:
        with _environment(_DURING_IMPORT):
            return getattr(importlib.import_module(self.__name__), name)


@contextmanager
def put_off(name: str) -> Iterator[None]:
    """Give what is imported in the block a stand-in for the module, unless that has been imported before."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = PutOff(name)
    try:
        yield
    finally:
        del sys.modules[name]


@contextmanager
def _environment(changes: dict[str, str | None]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in changes}
    _set(changes)
    try:
        yield
    finally:
        _set(before)


def _set(values: dict[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
