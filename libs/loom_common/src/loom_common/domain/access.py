"""Decides who may do what: policies in order, of which the first that matches decides; what none matches is denied."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from loom_common.domain.identity_provider import OidcConfig
from loom_common.domain.section import Mistake, Section, items, mistake, said


class Action(StrEnum):
    """Lists what is done to a resource."""

    READ = "read"
    READ_DATA = "read_data"
    RUN = "run"
    CONTROL = "control"
    REPLAY = "replay"
    DISCARD = "discard"
    ACKNOWLEDGE = "acknowledge"
    LABEL = "label"
    REGISTER = "register"


GROUP = "group:"
"""Stands before the name of a group, in policies. No user's name begins with it."""
ALL = "*"
ACTIONS = (*(each.value for each in Action), ALL)


class Kind(StrEnum):
    """Lists the kinds of resources. Those of pipelines are named `KIND/PIPELINE`, the others `KIND`."""

    PIPELINES = "pipelines"
    RUNS = "runs"
    QUARANTINE = "quarantine"
    COSTS = "costs"
    ALERTS = "alerts"
    DEFINITIONS = "definitions"
    CLUSTER = "cluster"
    AUDIT = "audit"


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error:
        raise PydanticCustomError("pattern", "a regular expression, such as `runs/reviews_.*`") from None
    return text


Pattern = Annotated[str, Field(min_length=1), AfterValidator(_pattern)]


class AccessPolicy(Section):
    """Says whether users may do something."""

    user_pattern: Pattern = Field(
        description="A regular expression that the whole name of a user matches. One that contains `group:` is also "
        "compared with `group:NAME`, for each of the user's groups."
    )
    resource_pattern: Pattern = Field(
        description="A regular expression that the whole name of a resource matches, such as `runs/reviews`."
    )
    actions: list[
        Literal["read", "read_data", "run", "control", "replay", "discard", "acknowledge", "label", "register", "*"]
    ] = Field(min_length=1, description="What it is about; `*` for everything.")
    allow: bool = Field(description="False: they may not.")

    def matches(self, user: str, resource: str, action: Action, groups: Collection[str] = ()) -> bool:
        """Tell whether this policy decides. Patterns match whole names, so that `runs/a` is not `runs/ab`. A pattern
        that does not speak of groups is not compared with them: `(?!anna).*` would match every group of Anna's."""
        names = (user, *(GROUP + each for each in groups)) if GROUP in self.user_pattern else (user,)
        return (
            (ALL in self.actions or action.value in self.actions)
            and re.fullmatch(self.resource_pattern, resource) is not None
            and any(re.fullmatch(self.user_pattern, each) is not None for each in names)
        )


class AccessConfig(Section):
    """Says who may do what over HTTP. Where there are policies, every request needs a token."""

    policies: list[AccessPolicy] = Field([], description="The first that matches decides; what none matches is denied.")
    oidc: OidcConfig | None = Field(None, description="An OpenID provider, by which people sign in.")

    @classmethod
    def mistakes(cls, written: Mapping[str, Any]) -> Iterable[Mistake]:
        """Demand policies for whoever signs in."""
        if said(written, "oidc") is not None and not items(written, "policies"):
            yield mistake(
                (), "policies", "`policies` beside `oidc`, which say what somebody may do who signed in", None
            )

    @property
    def controlled(self) -> bool:
        """Tell whether access is controlled."""
        return bool(self.policies) or self.oidc is not None


@dataclass(frozen=True, slots=True)
class Viewer:
    """Represents who asks, and what they may see and do."""

    user: str
    token_name: str | None = None
    scopes: Collection[str] = (ALL,)
    """The actions that their token may be used for."""
    policies: Sequence[AccessPolicy] | None = None
    """None where access is not controlled: they may do everything."""
    groups: Collection[str] = ()
    """The groups that an identity provider says they are in."""

    @property
    def unlimited(self) -> bool:
        """Tell whether access is not controlled."""
        return self.policies is None

    def may(self, kind: Kind, action: Action, pipeline: str | None = None) -> bool:
        """Tell whether they may do something to what a pipeline has of a kind, or to a kind that belongs to none."""
        if self.policies is None:
            return True
        if ALL not in self.scopes and action.value not in self.scopes:
            return False
        resource = kind.value if pipeline is None else f"{kind.value}/{pipeline}"
        deciding = (each for each in self.policies if each.matches(self.user, resource, action, self.groups))
        return next((each.allow for each in deciding), False)

    def among(self, pipelines: Iterable[str], kind: Kind, action: Action = Action.READ) -> frozenset[str]:
        """Return those of the pipelines of which they may do something to what these have of a kind."""
        return frozenset(each for each in pipelines if self.may(kind, action, each))
