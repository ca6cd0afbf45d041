"""Wraps handlers: what a message holds is opened before, and what follows from it is sealed after."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar, cast

from cachetools import LRUCache

from loom_common.contracts.envelope import Message
from loom_common.contracts.v1 import BatchEvaluated, BatchExtracted, BatchInSteps, BatchTransformed, ExtractSlice
from loom_common.domain.run.plan import Plan
from loom_common.domain.sealing.redaction import Redactor, conceal, redacting
from loom_common.errors import ConfigurationError, PermanentError
from loom_common.sealed_stages.batches import opened_batch, opened_slice, values_of
from loom_common.sealed_stages.results import judges_in, sealed_result
from loom_common.sealing.keyring import Keyring
from loom_common.sealing.sealer import Sealer
from loom_common.user_code.stage_runner import Plans
from loom_common.worker.consumer_spec import Handler
from loom_common.worker.context import Context
from loom_common.worker.slices import Slice

M = TypeVar("M", bound=Message)
R = TypeVar("R")

_KEPT = 32


class SealedStages:
    """Wraps the handlers of one process."""

    def __init__(self, plans: Plans, keyring: Keyring) -> None:
        self._plans = plans
        self._keyring = keyring
        self._sealers: LRUCache[str, Sealer] = LRUCache(_KEPT)

    def of(self, handler: Handler[M, R]) -> Handler[M, R]:
        """Return the handler of a message that names a plan. It raises `PermanentError` where the keys of the plan's
        sensitive fields are missing, besides what the handler raises."""

        async def handled(message: M, context: Context) -> R:
            plan = await self._plans.get(_plan_of(message))
            if not plan.pipeline.sensitive:
                return await handler(message, context)
            sealer = await self.sealer(plan)
            opened = _opened(message, sealer)
            redactor = Redactor(values_of(opened, sealer.fields))
            with _concealed(redactor):
                result = await handler(opened, context)
            sealed = sealed_result(result, opened, sealer, judges_in(plan))
            return _where_it_was(sealed, result, message, opened)

        return handled

    async def sealer(self, plan: Plan) -> Sealer:
        """Return what seals the records of a plan. Raises `PermanentError` where a key is missing."""
        name = plan.pipeline.name
        sealer, fields = self._sealers.get(name), plan.pipeline.sensitive_fields
        if sealer is None or sealer.fields.names != fields.names:
            try:
                keys = await self._keyring.keys()
            except ConfigurationError as error:
                raise PermanentError(
                    f"The pipeline has sensitive fields, and their key cannot be used: {error}"
                ) from error
            sealer = self._sealers[name] = Sealer(name, fields, keys)
        return sealer


def _where_it_was(sealed: R, result: R, message: Message, opened: Message) -> R:
    """Return a sealed slice with the cursor of its request where it has gone no further, because one place is never
    sealed twice in the same way: who has asked sees by it that there was nothing."""
    if not isinstance(result, Slice) or not isinstance(message, ExtractSlice) or not isinstance(opened, ExtractSlice):
        return sealed
    stayed = result.cursor is not None and result.cursor == opened.cursor
    return cast("R", replace(cast("Any", sealed), cursor=message.cursor)) if stayed else sealed


@contextmanager
def _concealed(redactor: Redactor) -> Iterator[None]:
    """Take values out of what is raised and logged within the block."""
    with redacting(redactor):
        try:
            yield
        except Exception as error:
            concealed = conceal(error, redactor)
            if concealed is error:
                raise
            raise concealed from None


def _plan_of(message: Message) -> str:
    header: Any = getattr(message, "header", message)
    return str(header.plan)


def _opened(message: M, sealer: Sealer) -> M:
    opened: Message = message
    if isinstance(message, ExtractSlice):
        opened = opened_slice(message, sealer)
    elif isinstance(message, BatchExtracted | BatchInSteps | BatchTransformed | BatchEvaluated):
        opened = opened_batch(message, sealer)
    return cast("M", opened)
