"""Renders pages from templates. Whatever a template is given is text to it, and never markup."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import Response

from loom_api.access import SIGNED_IN
from loom_api.console.shown import words
from loom_common.console import numbers
from loom_common.console.window_notes import window_notes
from loom_common.domain.json_values.shown import as_json
from loom_common.domain.sealing.tokens import PREFIX, masked_text
from loom_common.domain.values.plural import counted

_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)


_FILTERS: tuple[Callable[..., str], ...] = (
    numbers.compact,
    numbers.count,
    numbers.duration,
    numbers.latency,
    numbers.money,
    numbers.rate,
    words.ago,
    words.clock,
    words.percent,
    words.pretty,
    words.price,
    words.score,
    words.size,
)


class Page(HTMLResponse):
    """Holds a page, which may load nothing but what the console itself serves, and runs no script within it."""

    def init_headers(self, headers: Any = None) -> None:
        """Set the headers that every page has."""
        super().init_headers({"Content-Security-Policy": _POLICY, **(headers or {})})


def page(template: str, /, code: int = 200, **values: object) -> Page:
    """Return a page, or a part of one, that a template makes of values; `code` is the status of the answer."""
    always = {"now": dt.datetime.now(dt.UTC), "signed_in": SIGNED_IN.get()}
    return Page(_TEMPLATES.get_template(template).render(always, **values), code)


def next_page(address: str) -> Response:
    """Return the answer to a form that was carried out: the browser opens another page, which may be loaded again
    without doing it again."""
    return Response(status_code=303, headers={"Location": address})


def link(path: str, /, **query: object) -> str:
    """Return an address of the console with a query, without what is None or empty."""
    asked = {name: str(value) for name, value in query.items() if value not in (None, "", False)}
    return f"{path}?{urlencode(asked)}" if asked else path


def _masked(value: object) -> object:
    """Return what a page shows of a value: a text without sealed values."""
    return masked_text(value) if isinstance(value, str) and PREFIX in value else value


def _templates() -> Environment:
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parents[1] / "templates"),
        autoescape=True,
        auto_reload=False,  # its files are those of the package
        undefined=StrictUndefined,
        finalize=_masked,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for show in _FILTERS:
        made.filters[show.__name__] = show
    made.filters["segment"] = lambda text: quote(str(text), safe="")
    made.filters["json"] = as_json
    made.filters["window_notes"] = window_notes
    made.globals |= {"link": link, "counted": counted, "glyphs": words.GLYPHS, "destination": words.destination}
    return made


_TEMPLATES = _templates()
