"""An endpoint that answers is there: a response of no use is its record's own trouble, and is on the books."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from contextlib import AsyncExitStack

import pytest

from loom_ai.answers.shape import Shape
from loom_ai.answers.structured_output import TRIES, ask
from loom_ai.journal.models import JournalledModels
from loom_ai.journal.streaks import LONGEST
from loom_ai.ports import Payer
from loom_ai.providers.http_client import HttpModelClient
from loom_ai.settings import ModelSettings
from loom_ai.stores.memory.journal import MemoryJournal
from loom_common.domain.run.breaker import State
from loom_common.errors import (
    AccessRefused,
    DependencyUnavailable,
    PermanentError,
    RateLimited,
    UpstreamTroubled,
    UpstreamUnusable,
)
from loom_common.http.bodies import MOST_BYTES
from loom_common.resilience.breakers import Breakers
from loom_common.worker.usage import Usage
from support.any_server import AnyServer, Sent, chat
from support.clocks import ManualClock
from support.scripted_model import call_of

SHAPE = Shape({"mood": {"enum": ["good", "bad"]}})
GOOD = {
    "openai": chat('{"mood": "good"}'),
    "anthropic": {
        "content": [{"type": "tool_use", "name": "output", "input": {"mood": "good"}}],
        "stop_reason": "tool_use",
        "usage": {"input_tokens": 5, "output_tokens": 3},
    },
    "google": {"candidates": [{"content": {"parts": [{"text": '{"mood": "good"}'}]}, "finishReason": "STOP"}]},
}
HTML = {"Content-Type": "text/html"}
STREAM = b'data: {"choices": [{"delta": {"content": "f"}}]}\n\ndata: [DONE]\n\n'
USELESS = {
    "empty": Sent(b""),
    "blank": Sent(b" \n"),
    "page": Sent(b"<html>A proxy's page</html>", headers=HTML),
    "null": Sent(b"null"),
    "text": Sent(b'"fine"'),
    "number": Sent(b"42"),
    "list": Sent(b"[]"),
    "object": Sent(b"{}"),
    "no choices": Sent({"choices": [], "candidates": []}),
    "stream": Sent(STREAM, headers={"Content-Type": "text/event-stream"}),
    "cut off": Sent(b'{"choices": [{"message": {"content": "fi'),
    "unknown error": Sent({"error": {"message": "Something went wrong"}}),
    "trouble behind": Sent({"error": {"code": 502, "message": "Provider returned error"}}),
    "no content": Sent(b"", status=204),
    "redirection": Sent(b"", status=302, headers={"Location": "https://elsewhere.example/login"}),
    "no gzip": Sent(b"fine", headers={"Content-Encoding": "gzip"}),
    "unasked encoding": Sent(b"fine", headers={"Content-Encoding": "br"}),
    "deep": Sent(b"[" * 100_000),
    "binary": Sent(bytes(range(256))),
}


class Harness:
    """Runs models over a server, and keeps what came of asking them."""

    def __init__(self, server: AnyServer, provider: str = "openai", journal: MemoryJournal | None = None) -> None:
        self.breakers = Breakers()
        self.server, self.provider = server, provider
        self.journal = journal or MemoryJournal()
        self.clock = ManualClock()
        client = HttpModelClient(ModelSettings(total_timeout=60.0), clock=self.clock, breakers=self.breakers)
        self.models = JournalledModels(client, self.journal, clock=self.clock)
        self.usage = Usage()

    async def ask(self, prompt: str, record: str | None = None, run: str = "run_1"):
        call = call_of(
            prompt, provider=self.provider, base_url=self.server.base_url(self.provider), schema=SHAPE.schema
        )
        return await ask(self.models, call, Payer(run, record or prompt, self.usage), SHAPE)

    @property
    def open_breakers(self) -> list[str]:
        return [each.upstream for each in self.breakers.snapshot() if each.state is not State.CLOSED]


@pytest.fixture
async def harness():
    async with AsyncExitStack() as stack:

        async def made(provider="openai", journal=None, respond=None):
            harness = Harness(await stack.enter_async_context(AnyServer(respond)), provider, journal)
            stack.push_async_callback(harness.models.close)
            return harness

        yield made


def about(word, useless, provider="openai"):
    """Answers well, but for questions with that word."""

    def respond(body):
        return useless if word in str(body) else Sent(GOOD[provider])

    return respond


@pytest.mark.parametrize("provider", GOOD)
@pytest.mark.parametrize("kind", USELESS)
async def test_a_useless_answer_keeps_its_record_back_and_no_other(harness, provider, kind):
    harness = await harness(provider, respond=about("odd", USELESS[kind], provider))
    replies = await asyncio.gather(*(harness.ask(each) for each in ("odd", *(f"q{n}" for n in range(8)))))
    assert [reply.output for reply in replies[1:]] == [{"mood": "good"}] * 8
    assert replies[0].error.code == "unusable_answer"
    assert isinstance(replies[0].error.details["raw"], str)
    assert harness.server.calls == 8 + TRIES
    assert sum(line.made for line in harness.usage.lines()) == harness.server.calls
    assert all(line.cost > 0 for line in harness.usage.lines())
    assert not harness.open_breakers


async def test_what_came_instead_is_kept_as_far_as_it_may_be_read(harness):
    harness = await harness(respond=lambda _: Sent(b"<html>\x00" + b"x" * 100_000, headers=HTML))
    reply = await harness.ask("odd")
    assert reply.error.details["raw"].startswith("<html>\ufffdxxx")
    assert len(reply.error.details["raw"]) == 20_000


async def test_a_redirection_is_not_followed_and_says_where_it_leads(harness):
    harness = await harness(respond=lambda _: USELESS["redirection"])
    reply = await harness.ask("odd")
    assert "a redirection (HTTP 302) to https://elsewhere.example/login" in str(reply.error)


async def test_a_useless_answer_states_its_tokens_or_they_are_estimated(harness):
    stated = await harness(
        respond=lambda _: Sent({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 9}})
    )
    unstated = await harness(respond=lambda _: Sent({"choices": []}))
    await stated.ask("odd")
    [line] = stated.usage.lines()
    assert line.made == TRIES
    assert line.tokens_in == 7 * TRIES
    assert line.tokens_out == 9 * TRIES
    assert line.estimated == 0
    await unstated.ask("odd")
    [line] = unstated.usage.lines()
    assert (line.made, line.estimated) == (TRIES, TRIES)


async def test_a_useless_answer_is_asked_for_again_after_a_pause_and_the_good_one_is_taken(harness):
    answers = iter([Sent({"choices": []}), Sent(b""), Sent(GOOD["openai"])])
    harness = await harness(respond=lambda _: next(answers))
    reply = await harness.ask("odd")
    assert (reply.output, reply.spent.calls_made, sum(line.made for line in harness.usage.lines())) == (
        {"mood": "good"},
        3,
        3,
    )
    assert len(harness.clock.slept) == 2


async def test_a_record_that_comes_again_finds_what_it_paid_for_and_asks_once_more(harness):
    journal = MemoryJournal()
    first = await harness(journal=journal, respond=lambda _: Sent({"choices": []}))
    await first.ask("odd")
    again = await harness(journal=journal, respond=lambda _: Sent(GOOD["openai"]))
    again.server.url = first.server.url
    first.server.respond = again.server.respond
    reply = await again.ask("odd")
    assert reply.output == {"mood": "good"}
    assert first.server.calls == TRIES + 1
    assert sum(line.made for line in again.usage.lines()) == first.server.calls


@pytest.mark.parametrize("kind", ["page", "no choices", "unknown error"])
async def test_where_the_last_records_all_got_nothing_of_use_the_run_ends_with_that(harness, kind):
    harness = await harness(respond=lambda _: USELESS[kind])
    for number in range(LONGEST - 1):
        assert (await harness.ask(f"q{number}")).error.code == "unusable_answer"
    with pytest.raises(UpstreamUnusable, match=f"the last {LONGEST} different records .*base_url"):
        await harness.ask("one more")
    before = harness.server.calls
    with pytest.raises(UpstreamUnusable):
        await harness.ask("another")
    assert harness.server.calls == before + 1
    harness.server.respond = lambda _: Sent(GOOD["openai"])
    assert (await harness.ask("mended")).output == {"mood": "good"}
    harness.server.respond = lambda _: USELESS[kind]
    assert (await harness.ask("odd")).error.code == "unusable_answer"
    assert not harness.open_breakers


async def test_one_record_that_is_tried_often_is_not_many(harness):
    harness = await harness(respond=lambda _: Sent(b""))
    for _ in range(LONGEST):
        assert (await harness.ask("odd")).error.code == "unusable_answer"


INSIDE = {
    "rate limit": ({"error": {"code": 429, "message": "Slow down"}}, RateLimited),
    "rate limit in words": ({"error": {"type": "rate_limit_error", "message": "Slow down"}}, RateLimited),
    "exhausted": ({"error": {"status": "RESOURCE_EXHAUSTED", "message": "m"}}, RateLimited),
    "overloaded": ({"type": "error", "error": {"type": "overloaded_error", "message": "m"}}, RateLimited),
    "overloaded text": ({"error": "Model is overloaded"}, RateLimited),
    "message alone": ({"error": {"message": "Rate limit reached for this model"}}, RateLimited),
    "unavailable": ([{"error": {"code": 503, "status": "UNAVAILABLE"}}], RateLimited),
    "key": ({"error": {"code": "invalid_api_key", "message": "m"}}, AccessRefused),
    "key by number": ({"error": {"code": "401", "message": "m"}}, AccessRefused),
    "forbidden": ({"error": {"type": "permission_error"}}, AccessRefused),
    "quota": ({"error": {"code": "insufficient_quota"}}, PermanentError),
    "model": ({"error": {"code": "model_not_found"}}, PermanentError),
}


@pytest.mark.parametrize("kind", INSIDE)
async def test_an_error_inside_a_200_is_the_error_it_says_it_is(harness, kind):
    document, error = INSIDE[kind]
    harness = await harness(respond=lambda _: Sent(document))
    with pytest.raises(error):
        await harness.ask("q")
    assert not harness.open_breakers


async def test_a_refused_question_inside_a_200_is_its_records_own(harness):
    document = {"error": {"code": 400, "type": "invalid_request_error", "message": "context length exceeded"}}
    harness = await harness(respond=about("odd", Sent(document)))
    assert (await harness.ask("fine")).output == {"mood": "good"}
    assert (await harness.ask("odd")).error.code == "model_refused"


@pytest.mark.parametrize("status", [400, 403, 404, 405, 406, 410, 413, 414, 415, 418, 422, 451])
@pytest.mark.parametrize(
    "body", [b"", b"<html>no</html>", b'{"error": null}', b"[]", b"\xff\x00", b'{"error": {"message": {}}}']
)
async def test_where_others_were_answered_a_refusal_is_its_records_own(harness, status, body):
    harness = await harness(respond=about("odd", Sent(body, status)))
    assert (await harness.ask("fine")).output == {"mood": "good"}
    assert (await harness.ask("odd")).error.code == "model_refused"
    assert not harness.open_breakers


@pytest.mark.parametrize("status", [408, 409, 425, 500, 502, 503, 504, 529, 599])
async def test_trouble_with_one_question_never_opens_the_breaker(harness, status):
    harness = await harness(respond=about("odd", Sent(b"\xff<html>", status)))
    for _ in range(4):
        with pytest.raises(UpstreamTroubled):
            await harness.ask("odd")
    assert not harness.open_breakers
    assert (await harness.ask("fine")).output == {"mood": "good"}


async def test_trouble_with_different_questions_opens_it(harness):
    harness = await harness(respond=lambda _: Sent(b"", 500))
    outcomes = await asyncio.gather(*(harness.ask(f"q{n}") for n in range(8)), return_exceptions=True)
    assert all(isinstance(each, DependencyUnavailable) for each in outcomes)
    assert len(harness.open_breakers) == 1


@pytest.mark.parametrize("compress", [gzip.compress, zlib.compress, None])
async def test_a_body_has_a_limit_whatever_it_unfolds_from(harness, compress):
    large = b'{"choices": [{"message": {"content": "' + b"x" * (MOST_BYTES + 1) + b'"}}]}'
    headers = {"Content-Encoding": "deflate" if compress is zlib.compress else "gzip"} if compress else {}
    sent = Sent(compress(large) if compress else large, headers=headers)
    harness = await harness(respond=about("odd", sent))
    reply = await harness.ask("odd")
    assert (reply.error.code, "larger than 8 MB" in str(reply.error)) == ("unusable_answer", True)
    assert (await harness.ask("fine")).output == {"mood": "good"}


@pytest.mark.parametrize("compress", [gzip.compress, zlib.compress, lambda data: zlib.compress(data, wbits=-15)])
async def test_a_compressed_answer_is_read(harness, compress):
    encoding = "gzip" if compress is gzip.compress else "deflate"
    sent = Sent(compress(Sent(GOOD["openai"]).data), headers={"Content-Encoding": encoding})
    harness = await harness(respond=lambda _: sent)
    assert (await harness.ask("q")).output == {"mood": "good"}
