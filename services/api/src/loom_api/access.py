"""Lists what each address needs, and holds who asks in the scope of a request."""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from enum import Enum
from typing import Any

from fastapi.routing import iter_route_contexts
from starlette.routing import BaseRoute, Mount

from loom.project.person import person
from loom_common.domain.access import Action, Kind, Viewer

VIEWER = "loom.viewer"
"""The key of an ASGI scope that holds who asks."""
SIGNED_IN: ContextVar[str | None] = ContextVar("signed_in", default=None)
"""Holds the user whose session of the console the request at hand came with, for the head of every page."""


class By(Enum):
    """Says how it is found out of which pipeline a request asks something."""

    PIPELINE = "the address has the pipeline's name"
    RUN = "the address has a run's id"
    ALERT = "the address has an alert's number"
    NONE = "what is asked for belongs to no pipeline"
    ANSWER = "the answer, or the command, looks at each pipeline that it comes to"
    SIGNED_IN = "whoever has a token may ask"
    NOBODY = "everybody may ask"


@dataclass(frozen=True, slots=True)
class Needs:
    """Says what a request needs: that its user may do something to what a pipeline has of a kind."""

    by: By
    kind: Kind = Kind.RUNS
    action: Action = Action.READ


_RUN = Needs(By.RUN)
_CONTENTS = Needs(By.RUN, Kind.RUNS, Action.READ_DATA)
_CONTROL = Needs(By.RUN, Kind.RUNS, Action.CONTROL)
_ANSWER, _SIGNED_IN, _OPEN = Needs(By.ANSWER), Needs(By.SIGNED_IN), Needs(By.NOBODY)
_CLUSTER = Needs(By.NONE, Kind.CLUSTER)
_DEFINITION = Needs(By.NONE, Kind.DEFINITIONS, Action.RUN)
_PIPELINE = Needs(By.PIPELINE, Kind.PIPELINES)
_START = Needs(By.PIPELINE, Kind.PIPELINES, Action.RUN)
_ACKNOWLEDGE = Needs(By.ALERT, Kind.ALERTS, Action.ACKNOWLEDGE)
_REPLAY = Needs(By.RUN, Kind.QUARANTINE, Action.REPLAY)
_LABEL = Needs(By.RUN, Kind.RUNS, Action.LABEL)

_API: Mapping[str, Needs] = {
    "GET /openapi.json": _SIGNED_IN,
    "GET /pipelines": _ANSWER,
    "POST /pipelines": _ANSWER,
    "GET /pipelines/{name}": _PIPELINE,
    "GET /pipelines/{name}/versions": _PIPELINE,
    "GET /pipelines/{name}/metrics": _PIPELINE,
    "GET /pipelines/{name}/prompts": _PIPELINE,
    "GET /pipelines/{name}/prompts/{version}": _PIPELINE,
    "GET /pipelines/{name}/prompts/{version}/diff/{other}": _PIPELINE,
    "GET /pipelines/{name}/contexts": _PIPELINE,
    "GET /pipelines/{name}/contexts/{version}": _PIPELINE,
    "GET /pipelines/{name}/contexts/{version}/diff/{other}": _PIPELINE,
    "POST /pipelines/{name}/run": _START,
    "POST /pipelines/{name}/records": _START,
    "GET /runs": _ANSWER,
    "GET /manifest": _ANSWER,
    "GET /runs/{run_id}": _RUN,
    "GET /runs/{run_id}/metrics": _RUN,
    "GET /runs/{run_id}/events": _RUN,
    "GET /runs/{run_id}/lineage": _RUN,
    "GET /runs/{run_id}/evaluations": _RUN,
    "GET /runs/{run_id}/batches": _RUN,
    "GET /runs/{run_id}/outputs": _CONTENTS,
    "GET /runs/{run_id}/records": _CONTENTS,
    "GET /runs/{run_id}/records/{record_id}": _CONTENTS,
    "GET /runs/{run_id}/diff/{other}": _CONTENTS,
    "GET /runs/{run_id}/labels": _CONTENTS,
    "GET /runs/{run_id}/labels/next": _CONTENTS,
    "GET /runs/{run_id}/labels/report": _RUN,
    "POST /runs/{run_id}/labels": _LABEL,
    "POST /runs/{run_id}/labels/sample": _LABEL,
    "POST /runs/{run_id}/labels/undo": _LABEL,
    "POST /runs/{run_id}/evaluate": _CONTENTS,
    "POST /runs/{run_id}/pause": _CONTROL,
    "POST /runs/{run_id}/drain": _CONTROL,
    "POST /runs/{run_id}/promote": _CONTROL,
    "POST /runs/{run_id}/rollback": _CONTROL,
    "POST /runs/{run_id}/resume": _CONTROL,
    "POST /runs/{run_id}/cancel": _CONTROL,
    "POST /runs/{run_id}/priority": _CONTROL,
    "GET /quarantine": _ANSWER,
    "GET /quarantine-stats": _ANSWER,
    "GET /quarantine/{record_id}": _ANSWER,
    "POST /quarantine-retry": _ANSWER,
    "POST /quarantine-discard": _ANSWER,
    "POST /quarantine/{record_id}/retry": _ANSWER,
    "POST /validate": _DEFINITION,
    "POST /estimate": _DEFINITION,
    "GET /costs": _ANSWER,
    "GET /alerts": _ANSWER,
    "POST /alerts/{alert_id}/acknowledge": _ACKNOWLEDGE,
    "GET /fleet": _CLUSTER,
    "GET /prefetch": _CLUSTER,
    "GET /dead-letters": _CLUSTER,
    "GET /dead-letters/{letter_id}": Needs(By.NONE, Kind.CLUSTER, Action.READ_DATA),
    "POST /dead-letters/{letter_id}/replay": Needs(By.NONE, Kind.CLUSTER, Action.CONTROL),
    "GET /connectors": _SIGNED_IN,
    "GET /plugins": _SIGNED_IN,
    "GET /audit": Needs(By.NONE, Kind.AUDIT),
}
_CONSOLE: Mapping[str, Needs] = {
    "GET /login": _OPEN,
    "POST /login": _OPEN,
    "GET /login/oidc": _OPEN,
    "GET /login/callback": _OPEN,
    "POST /logout": _OPEN,
    "GET /static": _OPEN,
    "GET /": _ANSWER,
    "GET /runs": _ANSWER,
    "GET /live/runs": _ANSWER,
    "GET /runs/{run_id}": _RUN,
    "GET /live/runs/{run_id}": _RUN,
    "GET /runs/{run_id}/scores": _RUN,
    "GET /runs/{run_id}/course": _RUN,
    "GET /runs/{run_id}/batches": _RUN,
    "GET /runs/{run_id}/records": _CONTENTS,
    "GET /runs/{run_id}/records/{record_id}": _CONTENTS,
    "POST /runs/{run_id}/pause": _CONTROL,
    "POST /runs/{run_id}/resume": _CONTROL,
    "POST /runs/{run_id}/cancel": _CONTROL,
    "GET /runs/{run_id}/label": _CONTENTS,
    "POST /runs/{run_id}/label": _LABEL,
    "POST /runs/{run_id}/label/sample": _LABEL,
    "POST /runs/{run_id}/label/undo": _LABEL,
    "GET /runs/{run_id}/labels": _RUN,
    "GET /runs/{run_id}/evaluate": _RUN,
    "POST /runs/{run_id}/evaluate": _CONTENTS,
    "GET /runs/{run_id}/rescored/{rescoring_id}": _CONTENTS,
    "POST /runs/{run_id}/records/{record_id}/retry": _REPLAY,
    "GET /quarantine": _ANSWER,
    "POST /quarantine/retry": _ANSWER,
    "GET /pipelines": _ANSWER,
    "GET /pipelines/{name}": _PIPELINE,
    "GET /costs": _ANSWER,
    "GET /lineage": _ANSWER,
    "GET /compare": _ANSWER,
    "GET /compare/outputs": _ANSWER,
    "GET /fleet": _CLUSTER,
    "GET /live/fleet": _CLUSTER,
    "GET /alerts": _ANSWER,
    "POST /alerts/{alert_id}/acknowledge": _ACKNOWLEDGE,
}


def needed(method: str, path: str, api: str) -> Needs | None:
    """Return what an address needs, by its method and its path with `{names}`; None for one that nobody may ask,
    because it is not listed here. The paths of the API begin with `api`."""
    method = "GET" if method == "HEAD" else method
    of_api = path.startswith(f"{api}/")
    return _API.get(f"{method} {path.removeprefix(api)}") if of_api else _CONSOLE.get(f"{method} {path}")


@dataclass(frozen=True, slots=True)
class Address:
    """Represents an address of the application, with what it needs."""

    pattern: re.Pattern[str]
    path: str
    """Is the path, with `{names}` in place of what varies."""
    needs: Mapping[str, Needs]
    """Says what each of its methods needs."""


def addresses(routes: Sequence[BaseRoute], api: str) -> list[Address]:
    """Return the addresses of an application in the order in which it looks for one. Raises `AssertionError` for one of
    which nothing says what it needs, and for one that is listed here and not served, so that an application that has
    one does not start."""
    found = []
    for route in iter_route_contexts(routes):
        own = route.original_route
        mounted = isinstance(own, Mount)
        methods = {"GET"} if mounted else route.methods or set()
        path = own.path if isinstance(own, Mount) else route.path_format or ""
        pattern = own.path_regex if isinstance(own, Mount) else route.path_regex
        needs = {method: each for method in methods if (each := needed(method, path, api)) is not None}
        if not needs or needs.keys() != methods or not isinstance(pattern, re.Pattern):
            raise AssertionError(f"loom_api/access.py does not say what {' and '.join(methods)} {path} needs.")
        found.append(Address(pattern, path, needs))
    served = {(method, each.path) for each in found for method in each.needs}
    listed = {_placed(each, api) for each in _API} | {_placed(each, "") for each in _CONSOLE}
    if unserved := sorted(listed - served):
        raise AssertionError(f"loom_api/access.py lists {' '.join(unserved[0])}, which no route serves.")
    return found


def _placed(listed: str, below: str) -> tuple[str, str]:
    method, _, path = listed.partition(" ")
    return method, below + path


def viewer_of(scope: MutableMapping[str, Any]) -> Viewer:
    """Return who asks: whoever runs this process, where access is not controlled."""
    found = scope.get(VIEWER)
    return found if isinstance(found, Viewer) else Viewer(person())
