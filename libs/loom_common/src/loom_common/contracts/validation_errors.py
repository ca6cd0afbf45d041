"""Says in words what is wrong with a message that does not fit its model."""

from __future__ import annotations

from pydantic import ValidationError

_NAMED = 5


def in_words(error: ValidationError, within: str | None = None) -> str:
    """Return the first mistakes, each with its place in the body, which begins with `within` where only that field was
    looked at. No value of the message is shown."""
    details = error.errors(include_url=False, include_input=False, include_context=False)
    before = () if within is None else (within,)
    words = [f"{'.'.join(map(str, (*before, *each['loc']))) or 'body'}: {each['msg']}" for each in details[:_NAMED]]
    more = f" (and {len(details) - _NAMED} more)" if len(details) > _NAMED else ""
    return "; ".join(words) + more
