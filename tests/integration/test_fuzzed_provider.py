"""Tests that whatever an endpoint sends, these hold: never stuck, never a negative cost, never a traceback, never a
value changed, never an open breaker while it answers. `LOOM_FUZZ_EXAMPLES=2000` for the long form (`make fuzz`)."""

from __future__ import annotations

import asyncio
import itertools
import os
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loom_ai.answers.shape import Shape
from loom_ai.answers.structured_output import ask
from loom_ai.budget.prices import Prices
from loom_ai.budget.reservations import BudgetReservations
from loom_ai.http.received import error_in
from loom_ai.journal.models import JournalledModels
from loom_ai.ports import Payer
from loom_ai.providers.http_client import HttpModelClient
from loom_ai.settings import ModelSettings
from loom_ai.stores.memory.budgets import MemoryBudgets
from loom_ai.stores.memory.journal import MemoryJournal
from loom_ai.wire.document import NoAnswer, parsed
from loom_common.config.credentials import Credentials
from loom_common.config.secrets.environment import EnvProvider
from loom_common.contracts.encoding.codec import encode
from loom_common.contracts.envelope import Outgoing
from loom_common.contracts.v1 import KeptRecord, RecordsQuarantined
from loom_common.domain.model_options.pricing import ModelPrice
from loom_common.domain.run.breaker import State
from loom_common.domain.run.budget import Budget
from loom_common.errors import PermanentError, RecordError, TransientError
from loom_common.flow import Stage, quarantine
from loom_common.resilience.breakers import Breakers
from loom_common.worker.usage import Usage
from support import fuzzed
from support.any_server import AnyServer, Sent
from support.clocks import ManualClock
from support.scripted_model import call_of

EXAMPLES = int(os.environ.get("LOOM_FUZZ_EXAMPLES", "60"))
STUCK_SECONDS = 240.0
SHAPE = Shape(fuzzed.SHAPE)
KEYS = {"CO_API_KEY": "sk-c-1234567", "ANTHROPIC_API_KEY": "sk-a-1234567", "GEMINI_API_KEY": "sk-g-1234567"}
PRICES = {"m": ModelPrice(input=1.0, output=2.0, cached=0.1)}
CODE = re.compile(
    r"(invalid_output|empty_answer|truncated_output|refused|content_filter|context_window_exceeded|pause_turn"
    r"|malformed_function_call|unusable_answer|model_refused|finish_[a-z0-9_]+)\Z"
)
pytestmark = pytest.mark.timeout(600 if EXAMPLES <= 100 else 0)
fuzz = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


class Harness:
    """Holds one client over one server; each example has a journal, a budget and breakers of its own."""

    def __init__(self, provider: str) -> None:
        self.provider = provider
        self.runner = asyncio.Runner()
        self.server = AnyServer()
        self.clock = ManualClock()
        self.breakers = Breakers(clock=self.clock)
        credentials = Credentials({"env": EnvProvider(KEYS)})
        # A busy machine takes its time, and more for what an SDK imports at its first question.
        limits = ModelSettings(read_timeout=STUCK_SECONDS / 4, total_timeout=STUCK_SECONDS / 4)
        self.client = HttpModelClient(limits, credentials, self.clock, jitter=lambda: 0.0, breakers=self.breakers)
        self.numbers = itertools.count()
        self.runner.run(self.server.__aenter__())

    def close(self) -> None:
        async def closed() -> None:
            await self.client.close()
            await self.server.__aexit__()

        self.runner.run(closed())
        self.runner.close()

    def ask(self, *responses: Sent):
        """Return the outcome and the usage of a record whose questions get these answers; the last one is repeated."""
        return self.runner.run(self._ask(responses))

    async def _ask(self, responses):
        left = list(responses)
        self.server.respond = lambda _: left.pop(0) if len(left) > 1 else left[0]
        before = self.server.calls
        reservations = BudgetReservations(MemoryBudgets(), Prices())
        models = JournalledModels(self.client, MemoryJournal(), clock=self.clock, reservations=reservations)
        number = str(next(self.numbers))
        call = call_of(
            f"q{number}",
            provider=self.provider,
            model="m",
            base_url=self.server.base_url(self.provider),
            schema=SHAPE.schema,
            max_tokens=50,
        )
        usage = Usage(Budget(limit=1000.0))
        usage.prices = PRICES
        try:
            async with asyncio.timeout(STUCK_SECONDS):
                outcome = await ask(models, call, Payer(f"run_{number}", number, usage), SHAPE)
        except (TransientError, PermanentError) as error:
            outcome = error
        finally:
            await reservations.close()
        lines = usage.lines()
        assert all(
            line.cost >= 0 and 0 <= line.tokens_cached <= line.tokens_in and line.tokens_out >= 0 for line in lines
        )
        made = sum(line.made for line in lines)
        assert made <= self.server.calls - before
        if getattr(outcome, "output", None) is not None or getattr(outcome, "error", None) is not None:
            if not any(_holds_an_error(each) for each in responses):  # those are refusals, which nobody charges
                assert made == self.server.calls - before
            assert all(line.cost > 0 for line in lines)
        assert [each for each in self.breakers.snapshot() if each.state is not State.CLOSED] == []
        return outcome


def _holds_an_error(sent: Sent) -> bool:
    try:
        return error_in(parsed(sent.data)) is not None
    except NoAnswer:
        return False


@pytest.fixture(scope="module", params=fuzzed.DOCUMENTS)
def harness(request):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "AKIA")  # AWS signs its requests
        patch.setenv("AWS_SECRET_ACCESS_KEY", "sk-b")
        harness = Harness(request.param)
        yield harness
        harness.close()


@fuzz
@given(st.data())
def test_a_good_answer_is_taken_as_it_is_whatever_stands_around_it(harness, data):
    value, sent = data.draw(fuzzed.good(harness.provider))
    outcome = harness.ask(sent)
    assert not isinstance(outcome, Exception), outcome
    assert outcome.error is None, (outcome.error, outcome.error.details)
    assert outcome.output == value
    assert {name: type(each) for name, each in outcome.output.items()} == {
        name: type(each) for name, each in value.items()
    }


@fuzz
@given(st.data())
def test_whatever_comes_is_an_output_that_fits_or_a_record_kept_back_or_a_verdict_with_words(harness, data):
    responses = data.draw(st.lists(fuzzed.whatever(harness.provider), min_size=1, max_size=3))
    outcome = harness.ask(*responses)
    if isinstance(outcome, Exception):
        assert str(outcome)
        assert not any(secret in f"{outcome}{vars(outcome)}" for secret in KEYS.values())
    elif outcome.error is None:
        assert SHAPE.misfit(outcome.output) is None
    else:
        _can_be_kept(outcome.error)


def _can_be_kept(error: RecordError) -> None:
    assert CODE.match(error.code), error.code
    kept = KeptRecord(
        record_id="r", outcome="quarantined", code=error.code, reason=str(error), input={}, details=error.details
    )
    message = RecordsQuarantined(run_id="r", pipeline="p", batch_id="b", stage=Stage.TRANSFORM, records=(kept,))
    encode(Outgoing(quarantine(Stage.TRANSFORM, "p"), message), "test")
    if error.code == "unusable_answer":
        assert "\x00" not in error.details["raw"]
