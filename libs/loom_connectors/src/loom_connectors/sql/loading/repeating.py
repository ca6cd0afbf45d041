"""Does work again that another transaction was in the way of."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from loom_common.errors import Conflict

Result = TypeVar("Result")


def done_alone(work: Callable[[], Result], seconds: float) -> Result:
    """Do the work, again and again while other transactions are in its way. Blocks. Raises `Conflict` where they still
    are after so many seconds."""
    until = time.monotonic() + seconds
    while True:
        try:
            return work()
        except Conflict:
            if time.monotonic() > until:
                raise
        time.sleep(random.uniform(0.01, 0.1))  # noqa: S311  # no secret
