"""Tests how the provider for Airflow speaks to Loom's API: what is asked again, what is refused, and that no token is
told."""

import json

import httpx
import pytest

from loom_airflow.api import LoomApi, LoomApiAway, LoomApiError

TOKEN = "loom_not-to-be-told"


def api(*answers):
    """Return an API that gives these answers in turn, or raises them, its requests, and the seconds that it waited."""
    asked, slept = [], []

    def answer(request):
        asked.append(request)
        found = answers[min(len(asked), len(answers)) - 1]
        if isinstance(found, Exception):
            raise found
        return found

    made = LoomApi("http://loom.test/", TOKEN, transport=httpx.MockTransport(answer), sleep=slept.append)
    return made, asked, slept


def refused(status, detail, *errors, **headers):
    said = {"title": "Refused", "detail": detail, "errors": [{"message": each} for each in errors]}
    return httpx.Response(status, json=said, headers={name.replace("_", "-"): value for name, value in headers.items()})


def test_a_run_is_asked_for_by_its_key():
    made, asked, _ = api(httpx.Response(202, json={"run_id": "run_1"}))
    assert made.start("customer sentiment/a", {"params": {"day": "2026-01-01"}}, "airflow-1") == "run_1"
    [request] = asked
    assert request.url.raw_path == b"/api/v1/pipelines/customer%20sentiment%2Fa/run"
    assert (request.headers["Idempotency-Key"], request.headers["Authorization"]) == ("airflow-1", f"Bearer {TOKEN}")
    assert json.loads(request.content) == {"params": {"day": "2026-01-01"}}


def test_the_task_that_asks_is_named_in_headers_so_that_the_body_is_the_same_at_each_try():
    made, asked, _ = api(httpx.Response(202, json={"run_id": "run_1"}))
    made.start("reviews", {}, "airflow-1", lineage_parent={"run": "air/daily.reviews/1", "root": "air/daily/2"})
    [request] = asked
    assert request.headers["OpenLineage-Parent-Id"] == "air/daily.reviews/1"
    assert request.headers["OpenLineage-Root-Parent-Id"] == "air/daily/2"
    assert json.loads(request.content) == {}


def test_a_request_that_is_being_carried_out_is_asked_again_by_the_same_key():
    under_way = refused(409, "A request with this Idempotency-Key is being carried out.", Retry_After="1")
    made, asked, slept = api(under_way, under_way, httpx.Response(202, json={"run_id": "run_1"}))
    assert made.start("reviews", {}, "airflow-1") == "run_1"
    assert {each.headers["Idempotency-Key"] for each in asked} == {"airflow-1"}
    assert slept == [1.0, 1.0]


@pytest.mark.parametrize(
    "away", [httpx.ConnectError("refused"), refused(503, "The state database is away."), refused(429, "Too often.")]
)
def test_an_api_that_is_away_is_asked_again_and_then_given_up(away):
    made, asked, slept = api(away, httpx.Response(200, json={"status": "running"}))
    assert made.run("run_1")["status"] == "running"
    assert (len(asked), len(slept)) == (2, 1)
    made, asked, _ = api(away)
    with pytest.raises(LoomApiAway, match=r"http://loom\.test") as raised:
        made.run("run_1", patience=0.0)
    assert TOKEN not in str(raised.value)
    assert len(asked) == 1


def test_a_refusal_is_told_in_the_words_of_the_api_with_every_mistake():
    made, _, _ = api(refused(422, "Two mistakes.", "budget: expected a number", "Two"))
    with pytest.raises(LoomApiError, match=r"Two mistakes\. budget: expected a number$") as raised:
        made.start("reviews", {}, "airflow-1")
    assert raised.value.status == 422
    made, _, _ = api(httpx.Response(404, text="<html>"))
    with pytest.raises(LoomApiError, match="404 Not Found"):
        made.run("run_1")


def test_a_refused_token_is_not_told():
    made, _, _ = api(refused(401, "There is no such token."))
    with pytest.raises(LoomApiError, match="`loom token create` makes one") as raised:
        made.run("run_1")
    assert TOKEN not in str(raised.value)


@pytest.mark.parametrize("strange", [httpx.Response(200, text="<html>"), httpx.Response(200, json=["run_1"])])
def test_what_is_no_api_of_loom_is_said_to_be_none(strange):
    made, _, _ = api(strange)
    with pytest.raises(LoomApiError, match="does not answer as Loom's API does"):
        made.run("run_1")


async def test_an_event_loop_asks_once():
    made, _, _ = api(httpx.Response(200, json={"status": "running"}))
    assert (await made.arun("run_1"))["status"] == "running"
    made, asked, _ = api(httpx.ConnectError("refused"))
    with pytest.raises(LoomApiAway):
        await made.arun("run_1")
    assert len(asked) == 1


def test_the_newest_run_of_a_pipeline_is_asked_for_since_a_time():
    made, asked, _ = api(httpx.Response(200, json={"items": [{"run_id": "run_2"}]}))
    assert made.newest("reviews", "2026-01-01T00:00:00+00:00") == {"run_id": "run_2"}
    assert dict(asked[0].url.params)["since"] == "2026-01-01T00:00:00+00:00"
    made, _, _ = api(httpx.Response(200, json={"items": []}))
    assert made.newest("reviews", None) is None
