"""Tests where the loader opens the destinations of a trial: both beside their places, and in place of the trial
before."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from loom_common.config.credentials import Credentials
from loom_common.config.secrets.environment import EnvProvider
from loom_common.config.settings import Settings
from loom_common.domain.run.plan import Plan, Replay
from loom_common.user_code.threads import Threads
from loom_loader.handler import fallen_back
from loom_loader.service import open_destination_of


def plan(destination, *, beside=True, replay=None, mode=None):
    load = {"destination": destination, "fallback": "refused.jsonl", "mode": mode}
    pipeline = {
        "name": "reviews",
        "extract": {"source": "reviews.csv", "key": "id"},
        "transform": {"type": "passthrough"},
        "load": {name: value for name, value in load.items() if value is not None},
    }
    return Plan.model_validate({"pipeline": pipeline, "beside": beside, "replay": replay})


@pytest.fixture
def opened(tmp_path):
    credentials = Credentials({"env": EnvProvider({"URL": "sqlite:///db?table=moods"})})
    settings = Settings(project_dir=tmp_path)
    platform = SimpleNamespace(
        project=tmp_path, settings=settings, credentials=credentials, threads=Threads(), payloads=None
    )
    return lambda given: open_destination_of(given, platform)


@pytest.mark.parametrize(
    ("destination", "ending"),
    [
        ("out/scores.csv", "out/scores.sample.csv"),
        ("scores.jsonl", "scores.sample.jsonl"),
        ("sqlite:///o.db?table=scores", "?table=scores_sample"),
        ("postgres://host/db?table=analytics.scores", "?table=analytics.scores_sample"),
        ("${URL}", "?table=moods_sample"),
    ],
)
@pytest.mark.parametrize("mode", ["append", "replace", None])
def test_a_trial_opens_what_lies_beside_whatever_the_mode(opened, destination, ending, mode):
    destination = opened(plan(destination, mode=mode))
    assert destination.location.endswith(ending)
    assert destination.stages


def test_a_trial_s_second_destination_lies_beside_too(opened):
    second = opened(fallen_back(plan("out.csv")))
    assert second.location.endswith("/refused.sample.jsonl")
    assert "replace" in second.effect


def test_a_replay_of_a_trial_adds_to_it(opened):
    destination = opened(plan("sqlite:///o.db?table=scores", replay=Replay(run_id="run_1").model_dump()))
    assert (destination.location.endswith("?table=scores_sample"), destination.stages) == (True, False)


def test_a_run_opens_the_places_themselves(opened):
    given = plan("out.csv", beside=False)
    assert opened(given).location.endswith("/out.csv")
    assert opened(fallen_back(given)).location.endswith("/refused.jsonl")
