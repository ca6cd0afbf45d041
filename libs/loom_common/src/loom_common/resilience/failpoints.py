"""Places at which a service can be told to fail: a facility for tests of what a crash leaves behind.

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

import structlog

from loom_common.errors import ConfigurationError

log = structlog.get_logger()

VARIABLE = "LOOM_FAILPOINT"
EXIT_CODE = 137
POINTS = (
    "before_publish",
    "mid_publish",
    "after_confirm",
    "before_ack",
    "after_ack",
    "before_load_commit",
    "after_load_commit",
    "before_commit",
    "after_commit",
    "mid_relay",
)
_ACTIONS = ("exit", "raise", "sleep", "late", "twice")


class FailpointError(Exception):
    """Raised on purpose. Outside the tree of errors, so that nothing expects it."""


@dataclass(slots=True)
class Failpoint:
    """One point that is armed."""

    point: str
    nth: int | None
    """None for every time."""
    action: str
    seconds: float = 0.0
    reached: int = 0

    def due(self) -> bool:
        """Count one more time; whether it is the one."""
        self.reached += 1
        return self.nth is None or self.reached == self.nth

    async def strike(self) -> None:
        """Do what was ordered."""
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
"""By point. Of the process, because what fails is the process."""


def arm(service: str, orders: str | None) -> None:
    """Take the orders for `service`. Raises `ConfigurationError` for what is none."""
    for order in filter(None, (orders or "").split(",")):
        name, failpoint = parse(order.strip())
        if name in (service, "*"):
            _armed[failpoint.point] = failpoint


def disarm() -> None:
    """Forget all orders."""
    _armed.clear()


def parse(order: str) -> tuple[str, Failpoint]:
    """The service an order is for, and what it says. Raises `ConfigurationError`."""
    service, point, nth, action = (*order.split(":", 3), "exit")[:4] if order.count(":") >= 2 else (order, "", "", "")
    verb, _, seconds = action.partition("=")
    if point not in POINTS or not (nth == "*" or nth.isdecimal()) or verb not in _ACTIONS:
        raise ConfigurationError(
            f"{VARIABLE} says {order!r}; expected <service>:<point>:<nth or *>[:<action>], with a point of "
            f"{', '.join(POINTS)}, and an action of {', '.join(_ACTIONS)}."
        )
    return service, Failpoint(point, None if nth == "*" else int(nth), verb, float(seconds or 0))


def armed(point: str | None = None) -> bool:
    """Whether anything, or this point, is armed."""
    return bool(_armed) if point is None else point in _armed


def action_at(point: str) -> str | None:
    """What is to be done at a point; None where it is not armed."""
    return _armed[point].action if point in _armed else None


async def reach(point: str) -> None:
    """Say that work has come to this point. Does what was ordered for it, if anything was."""
    if _armed and (failpoint := _armed.get(point)) is not None and failpoint.due():
        await failpoint.strike()
