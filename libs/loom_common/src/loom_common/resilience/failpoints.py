"""Defines places at which a service can be told to fail: a facility for tests of what a crash leaves behind.

`LOOM_FAILPOINT="<service>:<point>:<nth>[:<action>]"`, several separated by commas, is read once when a service starts.
`nth` counts how often the point is reached, from 1; `*` is every time. The actions:

- `exit` (the default): the process is gone at once, with code 137, as after SIGKILL;
- `raise`: an error that no verdict covers;
- `sleep=S`: the one who reached the point waits S seconds; `late=S`: for any time up to S seconds;
- `twice`: at `before_publish` alone: everything that is published goes out twice, in a random order.

Where the variable is not set, `reach` is one comparison, and nothing stands between a service and its bus."""

from __future__ import annotations

import asyncio
import os
import random
from dataclasses import dataclass

from loom_common.errors import ConfigurationError
from loom_common.logs.logger import log

VARIABLE = "LOOM_FAILPOINT"
EXIT_CODE = 137
POINTS = (
    "before_publish",
    "mid_publish",
    "after_confirm",
    "before_ack",
    "after_ack",
    "before_source_ack",
    "before_load_commit",
    "after_alter",
    "after_load_commit",
    "before_commit",
    "after_commit",
    "before_withdrawal",
    "after_withdrawal",
    "before_rescored_load",
    "mid_relay",
    "before_batch_intent",
    "after_batch_intent",
    "before_batch_submission",
    "after_batch_submission",
    "after_batch_poll",
    "between_batch_results",
    "after_batch_answers",
)
_ACTIONS = ("exit", "raise", "sleep", "late", "twice")


class FailpointError(Exception):
    """Is raised on purpose. It is outside the tree of errors, so that no code expects it."""


@dataclass(slots=True)
class Failpoint:
    """Describes one failpoint that is armed."""

    point: str
    nth: int | None
    """The number of the time at which it acts; None for every time."""
    action: str
    seconds: float = 0.0
    reached: int = 0

    def due(self) -> bool:
        """Count one more time, and return whether the failpoint acts at it."""
        self.reached += 1
        return self.nth is None or self.reached == self.nth

    async def strike(self) -> None:
        """End the process, raise `FailpointError`, or sleep, as the action says."""
        if self.nth is not None:
            log.warning("failpoint", point=self.point, reached=self.reached, action=self.action)
        match self.action:
            case "exit":
                os._exit(EXIT_CODE)
            case "raise":
                raise FailpointError(f"failpoint {self.point}")
            case "sleep":
                await asyncio.sleep(self.seconds)
            case "late":
                await asyncio.sleep(random.uniform(0, self.seconds))  # noqa: S311 - spreads, hides nothing


_armed: dict[str, Failpoint] = {}
"""Holds the armed failpoints by point. They belong to the process, because the process is what fails."""


def arm(service: str, orders: str | None) -> None:
    """Arm the failpoints for `service`. Raises `ConfigurationError` for an invalid specification."""
    for order in filter(None, (orders or "").split(",")):
        name, failpoint = parse(order.strip())
        if name in (service, "*"):
            _armed[failpoint.point] = failpoint


def disarm() -> None:
    """Remove all failpoints."""
    _armed.clear()


def parse(order: str) -> tuple[str, Failpoint]:
    """Return the service of a specification and its failpoint. Raises `ConfigurationError`."""
    service, point, nth, action = (*order.split(":", 3), "exit")[:4] if order.count(":") >= 2 else (order, "", "", "")
    verb, _, seconds = action.partition("=")
    if point not in POINTS or not (nth == "*" or nth.isdecimal()) or verb not in _ACTIONS:
        raise ConfigurationError(
            f"{VARIABLE} says {order!r}; expected <service>:<point>:<nth or *>[:<action>], with a point of "
            f"{', '.join(POINTS)}, and an action of {', '.join(_ACTIONS)}."
        )
    return service, Failpoint(point, None if nth == "*" else int(nth), verb, float(seconds or 0))


def armed(point: str | None = None) -> bool:
    """Say whether this failpoint, or any, is armed."""
    return bool(_armed) if point is None else point in _armed


def action_at(point: str) -> str | None:
    """Return the action at a point; None where it is not armed."""
    return _armed[point].action if point in _armed else None


async def reach(point: str) -> None:
    """Report that work has reached this point, and perform the action there, if one is armed."""
    if _armed and (failpoint := _armed.get(point)) is not None and failpoint.due():
        await failpoint.strike()
