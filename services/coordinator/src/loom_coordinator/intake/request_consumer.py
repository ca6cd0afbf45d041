"""Run requests and commands from the bus: read, carried out in one transaction, answered."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

from pydantic import ValidationError

from loom_common.contracts.encoding.codec import body_of
from loom_common.contracts.envelope import Message
from loom_common.contracts.v1 import (
    DiscardRequest,
    PipelineRegistered,
    RegisterPipeline,
    ReplayRequest,
    RunAccepted,
    RunCommand,
    RunRequest,
)
from loom_common.domain.access import Viewer
from loom_common.domain.values.ids import STREAM_PREFIX, message_id
from loom_common.errors import ConfigurationError, DependencyUnavailable, InvalidDefinition, Problem, UnreadableMessage
from loom_common.flow import RUNS_QUEUE
from loom_common.logs.logger import log
from loom_common.ports.bus import Bus, Delivery
from loom_common.ports.payloads import PayloadStore
from loom_common.resilience import failpoints
from loom_common.sealing.keyring import Keyring
from loom_common.text import DEEPEST, storable_value
from loom_common.worker.failure_messages import dead_letter
from loom_coordinator.db.outbox_relay import OutboxRelay
from loom_coordinator.db.unit_of_work import NAME, UnitOfWork
from loom_coordinator.intake import discards, open_streams, replays, run_commands, start_run, stream_commands
from loom_coordinator.intake.asking import audit, refusals, run_answers
from loom_coordinator.intake.asking.permissions import Permissions
from loom_coordinator.intake.definitions import registered
from loom_coordinator.intake.micro_batches import groups
from loom_coordinator.intake.place_answers import Waiting

_PAUSE_SECONDS = 1.0


class RequestConsumer:
    """Consumes `loom.coordinator.runs`. What a message is, its routing key says: any client can write one."""

    def __init__(
        self,
        bus: Bus,
        outbox: OutboxRelay,
        payloads: PayloadStore,
        keyring: Keyring,
        *,
        every_hop: bool,
        permissions: Permissions | None = None,
    ) -> None:
        """Take `every_hop`: whether the runs that are started here visit the stages that have nothing to do; and what
        decides who may ask. Without it, whoever can publish may."""
        self._bus = bus
        self._outbox = outbox
        self._payloads = payloads
        self._keyring = keyring
        self._every_hop = every_hop
        self._permissions = permissions or Permissions()

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop`."""
        subscription = await self._bus.subscribe(RUNS_QUEUE, prefetch=10)
        try:
            async for group in groups(subscription, stop):
                for delivery in group:
                    await self._settle(delivery)
        finally:
            await subscription.close()

    async def _settle(self, delivery: Delivery) -> None:
        while True:
            try:
                await self._carry_out(delivery)
                break
            except DependencyUnavailable as error:
                log.warning("request waits", error=str(error), retry_in_s=_PAUSE_SECONDS)
                await asyncio.sleep(_PAUSE_SECONDS)
            except UnreadableMessage as error:
                log.warning("unreadable request set aside", reason=str(error))
                await self._bus.publish([dead_letter(delivery, str(error), NAME)])
                await self._refuse(delivery, ConfigurationError(f"The message cannot be read: {error}"), None)
                break
        await delivery.ack()

    async def _carry_out(self, delivery: Delivery) -> None:
        message: Message | None = None
        try:
            message = read(delivery)
            async with self._outbox.unit() as unit:
                # A request that carries no id cannot be told from its own repetition, except by its delivery. One with
                # a key has the same id whoever sends it: each sender is answered, and one run is started.
                keyed = isinstance(message, RunRequest | ReplayRequest) and message.idempotency_key is not None
                if delivery.message_id and not keyed and not await unit.first_time(_inbox_id(delivery)):
                    return
                viewer = self._permissions.asker(delivery)
                if viewer is not None:
                    act = await self._permissions.demand(unit, viewer, message)
                    message = message.model_copy(update={"requested_by": viewer.user, "audit_line": None})
                accepted = await self._action(message, _waiting(delivery, viewer))(unit)
                if accepted is None:
                    return  # it waits for an answer, which brings it back
                if viewer is not None:
                    await audit.note(unit, act, accepted)
                else:
                    await audit.settle(unit, message, accepted)
                run_answers.answer(unit, delivery, accepted)
                if isinstance(accepted, RunAccepted) and not isinstance(message, DiscardRequest):
                    run_answers.announce(unit, accepted)
                await failpoints.reach("before_commit")
            await failpoints.reach("after_commit")
            log.info("accepted", **accepted.model_dump(exclude={"epoch"}))
        except ConfigurationError as error:
            await self._refuse(delivery, error, message)

    def _action(
        self, message: Message, waiting: Waiting
    ) -> Callable[[UnitOfWork], Awaitable[RunAccepted | PipelineRegistered | None]]:
        match message:
            case RunRequest():
                return lambda unit: start_run.accept(
                    unit,
                    self._payloads,
                    message,
                    every_hop=self._every_hop,
                    open_stream=open_streams.go_on,
                    asking=waiting.written(),
                )
            case RegisterPipeline():
                return lambda unit: registered.register(unit, message)
            case ReplayRequest():
                return lambda unit: replays.accept(
                    unit, self._payloads, message, self._keyring, every_hop=self._every_hop
                )
            case DiscardRequest():
                return lambda unit: discards.accept(unit, message)
            case RunCommand():
                means_stream = message.verb in ("drain", "promote", "rollback") or message.run_id.startswith(
                    STREAM_PREFIX
                )
                commands = stream_commands if means_stream else run_commands
                return lambda unit: commands.carry_out(unit, message)
            case _:
                raise UnreadableMessage(f"message type {message.type!r} has no business here")

    async def _refuse(self, delivery: Delivery, error: ConfigurationError, message: Message | None) -> None:
        """Record that a request is not carried out, and tell whoever asked."""
        trusted = self._permissions.asker(delivery) is None
        await refusals.refuse(self._outbox, delivery, error, message, trusted=trusted)


def _waiting(delivery: Delivery, viewer: Viewer | None) -> Waiting:
    return Waiting(delivery.reply_to, delivery.correlation_id, None if viewer is None else viewer.user)


def _inbox_id(delivery: Delivery) -> str:
    return message_id(delivery.routing_key, delivery.message_id)


_COMMANDS = ("cancel", "pause", "resume", "priority", "drain", "promote", "rollback")


def read(delivery: Delivery) -> Message:
    """Read the request of a delivery, from its routing key and the documented JSON alone.

    Raises `UnreadableMessage` for what is no JSON object or an unknown key, `InvalidDefinition` for what is one
    but cannot be understood."""
    verb = delivery.routing_key.removeprefix("run.")
    try:
        body = json.loads(body_of(delivery))
    except (ValueError, RecursionError) as error:
        raise UnreadableMessage(f"the body is no JSON: {error}") from error
    if not isinstance(body, dict):
        raise UnreadableMessage("the body is JSON, but no object")
    if storable_value(body) != body:
        found = f"NUL, half a surrogate pair, or more than {DEEPEST} levels of nesting"
        raise InvalidDefinition([Problem((), found, "text and values that every store can hold")])
    try:
        if verb == "request":
            return RunRequest.model_validate(body)
        if verb == "register":
            return RegisterPipeline.model_validate(body)
        if verb == "replay":
            return ReplayRequest.model_validate(body)
        if verb == "discard":
            return DiscardRequest.model_validate(body)
        if verb in _COMMANDS:
            return RunCommand.model_validate({**body, "verb": verb})
    except ValidationError as error:
        raise InvalidDefinition(
            [
                Problem(tuple(detail["loc"]), repr(detail.get("input"))[:80], detail["msg"])
                for detail in error.errors(include_url=False)
            ]
        ) from None
    known = ", ".join(f"run.{name}" for name in ("request", "register", "replay", "discard", *_COMMANDS))
    raise UnreadableMessage(f"unknown routing key {delivery.routing_key!r}; known: {known}")
