"""Tests what a pipeline file says of its model, from the file to the rows: providers, shapes, shared calls, limits."""

from __future__ import annotations

import json
import sqlite3
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from loom import Loom
from loom.api import RunResult
from loom_ai.pacing.bucket import Rate
from support.books import assert_balanced, assert_complete
from support.length import LONG
from support.places import Place
from support.projects import ai, project, review_ids
from support.simulated_model import SimulatedModel, simulated_process

RECORDS = 60
PER_MINUTE = 600
LIMITED = 1500 if LONG else RECORDS
"""Counts the records of the run that four transformers share: long, it lasts for more than two minutes."""
LATE_SECONDS = 1.0
"""A call goes at most so long after its moment."""
SHAPE = {
    "mood": {"enum": ["good", "bad"]},
    "score": {"type": "number", "minimum": 0, "maximum": 1},
    "count": "integer",
    "author": {"name": "string", "tags": ["string"]},
}
ROOTS = {"openai": "/v1", "anthropic": "", "google": "/v1beta", "ours": "/v1"}


async def ran(
    folder: Path, loom_yaml: Path, *, cluster: bool = False, providers: dict[str, Any] | None = None, **transform: Any
) -> tuple[RunResult, list[Any]]:
    """Return the run of a pipeline with this transform, and its rows."""
    made = project(folder, RECORDS, destination="out.jsonl", transform=transform, extract={"batch_size": 20})
    if providers:
        made.say(providers=providers)
    loom = Loom(loom_yaml)
    result = await loom.run_pipeline(loom.load_pipeline(made.pipeline), cluster=cluster)
    return result, await made.loaded()


@pytest.fixture
def places(request, tmp_path) -> tuple[Path, Path, bool]:
    """Provide a pipeline's folder, the configuration, and whether a cluster carries it out."""
    if request.param == "embedded":
        (tmp_path / "loom.yaml").touch()
        return tmp_path / "p", tmp_path / "loom.yaml", False
    cluster = request.getfixturevalue("cluster")
    return cluster.project / request.node.name.replace("[", "_").strip("]"), cluster.project / "loom.yaml", True


EVERYWHERE = pytest.mark.parametrize("places", ["embedded", "cluster"], indirect=True)


@EVERYWHERE
@pytest.mark.parametrize("provider", ROOTS)
async def test_any_provider_gives_nested_outputs(provider, places, model, clean_environ):
    """The provider is named for all pipelines of the project, or in the pipeline itself."""
    folder, loom_yaml, cluster = places
    providers = {provider: {"base_url": model.root_url + ROOTS[provider]}}
    if not cluster:
        loom_yaml.write_text(json.dumps({"providers": providers}))
    transform = {**ai(""), "model": f"{provider}:m-1", "output": SHAPE}
    del transform["base_url"]
    result, rows = await ran(folder, loom_yaml, cluster=cluster, providers=providers if cluster else {}, **transform)
    assert_complete(result.report.model_dump(), rows, review_ids(RECORDS))
    assert model.calls == RECORDS
    for row in rows:
        assert row["mood"] in ("good", "bad")
        assert 0 <= row["score"] <= 1
        assert isinstance(row["count"], int)
        assert isinstance(row["author"]["tags"], list)


@EVERYWHERE
async def test_a_provider_of_another_protocol_is_asked_through_the_adapter_library(places, model, clean_environ):
    folder, loom_yaml, cluster = places
    transform = {**ai(""), "model": "cohere:command-r-08-2024", "output": SHAPE, "base_url": model.root_url}
    model.faults.extend(["429", "500", "bad_json"])
    result, rows = await ran(folder, loom_yaml, cluster=cluster, **transform)
    assert_complete(result.report.model_dump(), rows, review_ids(RECORDS))
    [*_, paid] = sorted(result.report.spending, key=lambda each: each.tokens_in)
    assert (paid.provider, paid.cost > 0) == ("cohere", True)
    assert result.report.calls["made"] == model.stats["answered"]
    assert sum(each.tokens_in for each in result.report.spending) == model.tokens_in


def test_validate_and_run_say_which_package_a_provider_lacks(loom, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name, package=None: None if name == "cohere" else object())
    transform = {**ai("http://127.0.0.1:9"), "model": "cohere:command-r"}
    made = project(tmp_path, 1, transform=transform)
    for command in ("validate", "run"):
        ended = loom(command, str(made.pipeline))
        assert ended.code == 2
        said = " ".join((ended.out + ended.err).split())
        assert "provider cohere needs the package cohere, which is not installed here. Install it where" in said
        assert "`make extras EXTRAS=providers`" in said
        assert "Traceback" not in said


def test_validate_says_that_the_address_of_bedrock_lacks_its_region(loom, tmp_path, monkeypatch):
    monkeypatch.delenv("AWS_REGION", raising=False)
    transform = {**ai(""), "model": "bedrock:amazon.nova-lite-v1:0", "base_url": None}
    ended = loom("validate", str(project(tmp_path, 1, transform=transform).pipeline))
    assert ended.code == 2
    assert "AWS_REGION" in ended.words
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    assert loom("validate", str(tmp_path / "pipeline.yaml")).code == 0


@EVERYWHERE
async def test_free_text_is_loaded_as_text(places, model, clean_environ):
    folder, loom_yaml, cluster = places
    result, rows = await ran(folder, loom_yaml, cluster=cluster, **ai(model.base_url, output="text"))
    assert_complete(result.report.model_dump(), rows, review_ids(RECORDS))
    assert all(row["text"].startswith("An answer to") for row in rows)
    assert all("response_format" not in body for body in model.bodies)


@EVERYWHERE
async def test_records_that_share_a_call_are_told_apart(places, model, clean_environ):
    folder, loom_yaml, cluster = places
    transform = ai(model.base_url, records_per_call=5)
    result, rows = await ran(folder, loom_yaml, cluster=cluster, **transform)
    assert_complete(result.report.model_dump(), rows, review_ids(RECORDS))
    assert model.calls == RECORDS / 5
    assert result.report.calls["made"] == model.calls
    paid = [(each.tokens_in, each.tokens_out) for each in result.report.spending]
    assert paid == [(model.tokens_in, model.tokens_out)]

    model.faults.append("truncated")
    changed = {**transform, "prompt": "Say it anew: {{ input.id }}: {{ input.review }}"}
    result, rows = await ran(folder, loom_yaml, cluster=cluster, **changed)
    assert_complete(result.report.model_dump(), rows, review_ids(RECORDS))
    assert model.calls == RECORDS / 5 + RECORDS / 5 + 5  # those of the truncated answer, singly


async def test_a_limit_holds_for_all_batches_together(here, model):
    await the_limit_is_kept(here, model, RECORDS)


async def test_so_it_does_for_four_transformers(fleet, model):
    await the_limit_is_kept(fleet, model, LIMITED)


async def the_limit_is_kept(place: Place, model: SimulatedModel, records: int) -> None:
    """Check at the server: in any sixty seconds never more than a minute's worth, and in fewer never more than is
    spread."""
    transform = ai(model.base_url, rate_limit={"requests_per_minute": PER_MINUTE})
    folder = place.folder / "limited"
    made = project(folder, records, name="limited", destination="out.jsonl", transform=transform)
    made.say(extract={**made.definition["extract"], "batch_size": 20})
    loom = Loom(place.folder / "loom.yaml")
    result = await loom.run_pipeline(loom.load_pipeline(made.pipeline), cluster=place.clustered)
    assert_complete(result.report.model_dump(), await made.loaded(), review_ids(records))
    print(f"{records} calls in {result.report.duration_seconds:.0f} s, at most {model.traffic.most} in any 60 s")
    assert model.calls == records
    assert model.traffic.most <= PER_MINUTE
    rate, came = Rate(PER_MINUTE), model.traffic.arrivals
    for number, moment in enumerate(came):
        for earlier in range(number):
            allowed = rate.burst + (moment - came[earlier] + LATE_SECONDS) / rate.interval
            assert number - earlier <= allowed, (number - earlier, moment - came[earlier])


def calls(base_url: str) -> dict[str, Any]:
    with urllib.request.urlopen(base_url.replace("/v1", "/stats")) as response:
        return json.load(response)


def test_what_is_kept_is_shown_and_forgotten(loom, tmp_path):
    with simulated_process() as base_url:
        project(tmp_path, RECORDS, transform=ai(base_url))
        assert loom("cache", "stats", "--format", "json").report == []
        assert loom("run", "pipeline.yaml", "--format", "json").code == 0
        (kept,) = loom("cache", "stats", "--format", "json").report
        assert (kept["model"], kept["answers"]) == ("gpt-4o-mini", RECORDS)
        told = calls(base_url)
        assert (kept["tokens_in"], kept["tokens_out"]) == (told["tokens_in"], told["tokens_out"])
        assert "gpt-4o-mini" in loom("cache", "stats").out

        assert loom("run", "pipeline.yaml", "--format", "json").code == 0
        assert calls(base_url)["calls"] == RECORDS
        refused = loom("cache", "clear")
        assert (refused.code, "Add --yes" in refused.err) == (2, True)
        for options, gone in ((("--older-than", "1h"), 0), (("--model", "other"), 0), ((), RECORDS)):
            assert loom("cache", "clear", "--yes", *options, "--format", "json").report == {"forgotten": gone}
        assert loom("run", "pipeline.yaml", "--format", "json").code == 0
        assert calls(base_url)["calls"] == 2 * RECORDS


def test_what_a_cluster_keeps_is_shown_and_forgotten_by_model(cluster, loom):
    """The journal is everyone's: others' answers stay."""
    config = ("--config", str(cluster.project / "loom.yaml"), "--format", "json")
    with simulated_process() as base_url:
        made = project(cluster.project / "answers", RECORDS, name="answers", transform=ai(base_url, model="kept-1"))

        def kept() -> list[dict[str, Any]]:
            return [each for each in loom("cache", "stats", *config).report if each["model"] == "kept-1"]

        assert kept() == []
        for _ in range(2):
            assert loom("run", str(made.pipeline), *config).code == 0
            told = calls(base_url)
            assert told["calls"] == RECORDS
        names = ("answers", "tokens_in", "tokens_out")
        assert [[each[name] for name in names] for each in kept()] == [[RECORDS, told["tokens_in"], told["tokens_out"]]]
        others = len(loom("cache", "stats", *config).report) - 1
        for gone in (RECORDS, 0):
            assert loom("cache", "clear", "--yes", "--model", "kept-1", *config).report == {"forgotten": gone}
        assert len(loom("cache", "stats", *config).report) == others
        assert loom("run", str(made.pipeline), *config).code == 0
        assert calls(base_url)["calls"] == 2 * RECORDS


def test_a_clusters_journal_that_is_not_known_here_is_not_taken_for_an_empty_one(loom, tmp_path):
    (tmp_path / "loom.yaml").write_text("mode: distributed\nbus: {url: 'amqp://127.0.0.1:1/'}\n")
    for words in (("stats",), ("clear", "--yes")):
        told = loom("cache", *words)
        assert (told.code, "The cluster's journal is not known here" in " ".join(told.err.split())) == (2, True)


def test_answers_older_than_the_pipeline_takes_are_asked_anew(loom, tmp_path):
    with simulated_process() as base_url:
        project(tmp_path, RECORDS, transform=ai(base_url, cache={"ttl": "1h"}))
        for _ in range(2):
            assert loom("run", "pipeline.yaml", "--format", "json").code == 0
        assert calls(base_url)["calls"] == RECORDS
        with closing(sqlite3.connect(tmp_path / ".loom" / "journal.db")) as journal, journal:
            journal.execute("UPDATE journal SET created_at = datetime(created_at, '-2 hours')")
        assert loom("run", "pipeline.yaml", "--format", "json").code == 0
        assert calls(base_url)["calls"] == 2 * RECORDS


@pytest.mark.parametrize(
    ("transform", "words"),
    [
        (
            {"output": "txt"},
            "transform.output: found 'txt'; expected fields with their types, a JSON Schema, or `text`",
        ),
        ({"rate_limit": {}}, "transform.rate_limit: found the settings given; expected `requests_per_minute` or"),
        ({"records_per_call": 0}, "transform.records_per_call: found 0; expected"),
    ],
)
def test_a_mistake_is_said_with_its_place(loom, tmp_path, transform, words):
    project(tmp_path, transform=ai("http://127.0.0.1:1/v1", **transform))
    told = loom("validate", "pipeline.yaml")
    assert told.code == 2
    assert words in " ".join((told.out + told.err).split())


def test_a_provider_of_ones_own_needs_an_address(loom, tmp_path):
    (tmp_path / "loom.yaml").write_text("providers: {ours: {api_key: '${K}'}}")
    told = loom("config", "validate")
    assert (told.code, "`base_url` for the provider ours" in told.err) == (2, True)


@EVERYWHERE
async def test_with_a_provider_that_misbehaves_every_record_and_call_is_accounted_for(places, model, clean_environ):
    """`python -m bench.hostile` measures how much longer it takes."""
    model.rates = {"429": 0.05, "500": 0.02, "hang": 0.01, "bad_json": 0.03, "truncated": 0.01}
    model.seed = 11
    folder, loom_yaml, cluster = places
    made = project(folder, 400, destination="out.jsonl", transform=ai(model.base_url, timeout="2s"))
    loom = Loom(loom_yaml)
    result = await loom.run_pipeline(loom.load_pipeline(made.pipeline), cluster=cluster)
    report = result.report.model_dump()
    assert_balanced(report)
    rows, kept = await made.loaded(), await loom.get_quarantined_records(run_id=result.run_id, limit=400)
    assert sorted([*(row["id"] for row in rows), *(each["record_id"] for each in kept)]) == review_ids(400)
    assert {each["error_details"]["finish_reason"] for each in kept} >= {"length"}
    assert len(kept) < 30
    assert report["calls"]["made"] == model.answered
    paid = [sum(getattr(each, name) for each in result.report.spending) for name in ("tokens_in", "tokens_out")]
    assert paid == [model.tokens_in, model.tokens_out]
    assert all(model.met[fault] for fault in model.rates)
