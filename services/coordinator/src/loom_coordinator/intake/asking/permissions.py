"""Decides whether whoever sent a request may ask for it, where policies hold for messages (docs/wire-format.md)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select

from loom_common.contracts.envelope import Message
from loom_common.contracts.v1 import DiscardRequest, RegisterPipeline, ReplayRequest, RunCommand, RunRequest
from loom_common.domain.access import AccessConfig, AccessPolicy, Action, Kind, Viewer
from loom_common.domain.definition.reader import validated
from loom_common.domain.values.ids import STREAM_PREFIX
from loom_common.errors import ConfigurationError, InvalidDefinition, Problem
from loom_common.ports.bus import Delivery
from loom_coordinator.db import run_rows
from loom_coordinator.db.audit_log import Act
from loom_coordinator.db.tables.runs import pipeline_runs, pipelines
from loom_coordinator.db.tables.streams import streams
from loom_coordinator.db.unit_of_work import UnitOfWork


class NotAllowed(ConfigurationError):
    """Reports that whoever sent a request may not ask for it."""

    def __init__(self, words: str, act: Act) -> None:
        self.act = act
        super().__init__(words)


@dataclass(frozen=True, slots=True)
class _Asked:
    """Says what a request does, and to what."""

    verb: str
    kind: Kind
    actions: Sequence[Action]
    pipeline: str
    run_id: str | None = None


class Permissions:
    """Holds the policies for messages. Messages of the `trusted` users of the broker are carried out as they are: those
    of Loom's own services, which have decided before."""

    def __init__(self, policies: Sequence[AccessPolicy] | None = None, trusted: Collection[str] = ()) -> None:
        self._policies = policies
        self._trusted = frozenset(trusted)

    @classmethod
    def read(cls, file: Path | None, trusted: Collection[str]) -> Permissions:
        """Read the policies from `access` in a loom.yaml; None for no policies. Raises `ConfigurationError` where the
        file cannot be read, `InvalidDefinition` with its mistakes."""
        if file is None:
            return cls()
        from ruamel.yaml import YAML
        from ruamel.yaml.error import YAMLError

        try:
            document = YAML(typ="safe", pure=True).load(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, YAMLError) as error:
            raise ConfigurationError(
                f"The file {file} that LOOM_COORDINATOR_ACCESS_FILE names cannot be read ({type(error).__name__})."
            ) from error
        written = document.get("access") if isinstance(document, dict) else None
        found = validated(AccessConfig, written if isinstance(written, dict) else {}, lambda _: (str(file), None, None))
        return cls(found.policies, trusted)

    def asker(self, delivery: Delivery) -> Viewer | None:
        """Return who sent a message; None where it is carried out whoever did. The user is nobody where the message
        names none."""
        if self._policies is None or delivery.user_id in self._trusted:
            return None
        return Viewer(delivery.user_id or "", policies=self._policies)

    def user(self, name: str) -> Viewer:
        """Return the user of the broker who has sent a message before, and is held to the policies."""
        return Viewer(name, policies=self._policies or ())

    async def demand(self, unit: UnitOfWork, viewer: Viewer, message: Message) -> Act:
        """Return what somebody does by a message. Raises `NotAllowed` where they may not; it names no run that they
        may not see. Raises `InvalidDefinition` for a pipeline that is not registered."""
        asked = await self._asked(unit, message)
        act = Act(viewer.user, None, asked.verb, f"{asked.kind.value}/{asked.pipeline}", {"by": "message"})
        if not viewer.user:
            raise NotAllowed(
                "The message does not say who sent it, and policies decide who may ask for what. Set the property "
                "`user_id` to the name of the broker's user, which the broker checks.",
                act,
            )
        denied = [each for each in asked.actions if not viewer.may(asked.kind, each, asked.pipeline)]
        if asked.run_id is not None and not viewer.may(Kind.RUNS, Action.READ, asked.pipeline):
            raise NotAllowed(str(run_rows.unknown(asked.run_id)), act)
        if denied:
            raise NotAllowed(f"{viewer.user} may not {denied[0].value} {asked.kind.value}/{asked.pipeline}.", act)
        if isinstance(message, RunRequest) and message.pipeline is not None:
            await _see_that_it_is_registered(unit, viewer, message.pipeline)
        return act

    async def _asked(self, unit: UnitOfWork, message: Message) -> _Asked:
        match message:
            case RunRequest(pipeline=str(name)):
                return _Asked("run", Kind.PIPELINES, (Action.RUN,), name)
            case RunRequest():
                name = _name_in(message.definition or {})
                return _Asked("run", Kind.PIPELINES, (Action.REGISTER, Action.RUN), name)
            case RegisterPipeline():
                return _Asked("register", Kind.PIPELINES, (Action.REGISTER,), _name_in(message.definition))
            case ReplayRequest():
                name = await _pipeline_of(unit, message.run_id)
                return _Asked("replay", Kind.QUARANTINE, (Action.REPLAY,), name, message.run_id)
            case DiscardRequest():
                name = await _pipeline_of(unit, message.run_id)
                return _Asked("discard", Kind.QUARANTINE, (Action.DISCARD,), name, message.run_id)
            case RunCommand():
                name = await _pipeline_of(unit, message.run_id)
                return _Asked(message.verb, Kind.RUNS, (Action.CONTROL,), name, message.run_id)
        raise AssertionError(message.type)


async def _pipeline_of(unit: UnitOfWork, run_id: str) -> str:
    """Return the pipeline of a run or a stream; `` where there is none, which no policy for a pipeline allows."""
    found = select(pipeline_runs.c.pipeline_name).where(pipeline_runs.c.run_id == run_id)
    if run_id.startswith(STREAM_PREFIX):
        found = select(streams.c.pipeline_name).where(streams.c.stream_id == run_id)
    return (await unit.connection.execute(found)).scalar_one_or_none() or ""


async def _see_that_it_is_registered(unit: UnitOfWork, viewer: Viewer, name: str) -> None:
    """Raise `InvalidDefinition` for a pipeline that is not there, with the names of those alone that may be seen."""
    known = (await unit.connection.execute(select(pipelines.c.name).order_by(pipelines.c.name))).scalars().all()
    if name in known:
        return
    seen = [each for each in known if viewer.may(Kind.PIPELINES, Action.READ, each)]
    expected = f"a registered pipeline: {', '.join(seen)}" if seen else "a registered pipeline"
    raise InvalidDefinition([Problem(("pipeline",), repr(name), expected)])


def _name_in(definition: object) -> str:
    name = definition.get("name") if isinstance(definition, dict) else None
    return name if isinstance(name, str) else ""
