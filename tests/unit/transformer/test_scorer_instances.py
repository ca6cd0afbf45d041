"""Tests scorers in processes of their own: they score side by side, and what ends a process costs its text alone."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import asynccontextmanager

import pytest

from loom_ai.journal.models import JournalledModels
from loom_ai.stores.memory.journal import MemoryJournal
from loom_common.errors import UserCodeError
from loom_common.worker.context import Context
from loom_dev.waiting import within
from loom_transformer.scoring import processes
from loom_transformer.transforms.catalog import Catalog
from support.plans import batch_of, plan_of
from support.scripted_model import ScriptedModel

MODULE = """
import ctypes, os, signal, time
from pathlib import Path

HERE = Path(__file__).parent
kept = []

class Model:
    def __init__(self):
        with (HERE / "loads").open("a") as file: file.write(f"{os.getpid()}\\n")
        self.warm = []
        print("it prints while it loads")
    def score(self, texts):
        self.warm.append(texts)
        if "meet" in texts:  # comes back when two processes are here
            (HERE / f"here-{os.getpid()}").touch()
            while len(list(HERE.glob("here-*"))) < 2: time.sleep(0.01)
        if "die" in texts: os.kill(os.getpid(), signal.SIGKILL)
        if "leave" in texts: os._exit(3)
        if "hang" in texts: time.sleep(600)
        if "once" in texts and not (HERE / "died").exists():
            (HERE / "died").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if "raise" in texts: raise ValueError("no such text")
        if "grow" in texts:
            kept.append(bytearray(1 << 30))
            kept[-1][::4096] = b"x" * (1 << 18)
            time.sleep(600)
        if "leak" in texts: kept.append(b"x" * (40 << 20))
        return [{"n": len(text), "pid": os.getpid(), "threads": os.environ.get("OMP_NUM_THREADS")} for text in texts]

class Later(Model):
    async def score(self, texts):
        return super().score(texts)

class Unloadable:
    def __init__(self): raise OSError("no model here")

class Deadly:
    def __init__(self): ctypes.string_at(0)
    def score(self, texts): return []

def length(text):
    return {"n": len(text), "pid": os.getpid()}
"""


@pytest.fixture
def scoring(tmp_path):
    """Open what scores texts in processes; they are ended with it."""
    (tmp_path / "own.py").write_text(MODULE, encoding="utf-8")

    @asynccontextmanager
    async def opened(name="Model", limit="60s", **changes):
        catalog = Catalog(JournalledModels(ScriptedModel(), MemoryJournal()), tmp_path)
        scorer = name if name == "vader" else f"own:{name}"
        plan = plan_of({"type": "scorer", "scorer": scorer, "field": "text", **changes})
        limits = plan.pipeline.timeouts.model_copy(update={"record": limit})
        plan = plan.model_copy(update={"pipeline": plan.pipeline.model_copy(update={"timeouts": limits})})
        transform = catalog.transform_of(plan)

        async def score(*texts):
            records = batch_of(plan, [{"text": each} for each in texts]).records
            async with within(60):
                return await transform.apply("run_1", records, Context())

        score.catalog = catalog
        try:
            yield score
        finally:
            await catalog.close()

    return opened


def loads(folder):
    return (folder / "loads").read_text().split() if (folder / "loads").exists() else []


async def test_two_instances_score_at_the_same_time_each_loaded_once(scoring, tmp_path):
    async with scoring(instances=2, batch=1) as score:
        met = await score("meet", "meet")  # each call comes back only when another process has one, too
        more = await score(*("a" * number for number in range(1, 9)))
    assert len({each.output["pid"] for each in met}) == 2
    assert [each.output["n"] for each in more] == list(range(1, 9))
    assert len(loads(tmp_path)) == 2
    assert os.getpid() not in {int(each) for each in loads(tmp_path)}


async def test_what_ends_a_process_each_time_is_quarantined_alone(scoring, tmp_path):
    async with scoring(instances=1, batch=4) as score:
        outcomes = await score("a", "die", "bc", "leave")
    assert [each.output and each.output["n"] for each in outcomes] == [1, None, 2, None]
    assert [each.error and each.error.code for each in outcomes] == [None, "poison", None, "poison"]
    assert str(outcomes[1].error) == "own:Model: the process that scored the text was ended by SIGKILL, 2 times"
    assert "ended with the exit code 3, 2 times" in str(outcomes[3].error)


async def test_an_instance_that_is_killed_loses_nothing(scoring, tmp_path):
    async with scoring(instances=1, batch=2) as score:
        outcomes = await score("once", "b", "c")
    assert [each.output["n"] for each in outcomes] == [4, 1, 1]
    assert len(loads(tmp_path)) == 2


async def test_an_instance_that_is_killed_between_two_batches_is_replaced(scoring, tmp_path):
    async with scoring(instances=1) as score:
        await score("a")
        [instances] = score.catalog._scorers._apart.values()
        [pid] = instances.pids
        os.kill(pid, signal.SIGKILL)
        assert (await score("b"))[0].output["n"] == 1
    assert len(loads(tmp_path)) == 2


async def test_a_text_that_hangs_is_given_up_on_and_its_process_is_ended(scoring, tmp_path):
    async with scoring(instances=1, batch=1, limit="2s") as score:
        outcomes = await score("a", "hang", "bc")
        running = loads(tmp_path)
    assert [each.output and each.output["n"] for each in outcomes] == [1, None, 2]
    assert outcomes[1].error.code == "timeout"
    assert not any(is_alive(int(each)) for each in running)


async def test_a_process_that_grows_beyond_its_memory_is_replaced_and_its_texts_are_scored_again(scoring, tmp_path):
    async with scoring(instances=1, memory="512MB", batch=2) as score:
        outcomes = await score("a", "grow")
    assert outcomes[0].output["n"] == 1
    assert outcomes[1].error.code == "poison"
    assert "grew beyond the 512 MB of `transform.memory`, 2 times" in str(outcomes[1].error)


async def test_a_process_that_keeps_too_much_after_a_call_gives_its_outputs_and_is_replaced(scoring, monkeypatch):
    monkeypatch.setattr(processes, "_LOOK_SECONDS", 600.0)  # so that it is not seen during the call
    async with scoring(instances=1, memory="60MB", batch=1) as score:
        leaked, after = await score("leak", "b")
    assert leaked.output["n"] == 4
    assert leaked.output["pid"] != after.output["pid"]


async def test_asynchronous_scorers_functions_and_own_ones_run_in_processes_too(scoring):
    async with scoring("Later", instances=1) as score:
        assert [each.output["n"] for each in await score("a", "raise", "bc") if each.output] == [1, 2]
    async with scoring("length", instances=1) as score:
        (outcome,) = await score("abc")
    assert outcome.output["n"] == 3
    assert outcome.output["pid"] != os.getpid()
    async with scoring("vader", instances=1) as score:
        assert (await score("a good day"))[0].output["sentiment"] == "positive"


async def test_what_cannot_be_loaded_says_why(scoring):
    async with scoring("Unloadable", instances=1) as score:
        with pytest.raises(UserCodeError, match="making one failed: OSError: no model here"):
            await score("a")
    async with scoring("Deadly", instances=2) as score:
        with pytest.raises(UserCodeError, match="its process was ended by SIGSEGV while it loaded, 2 times"):
            await score("a")
    async with scoring(instances=1, memory="1MB") as score:
        with pytest.raises(UserCodeError, match=r"as soon as it is loaded, and `transform.memory` allows 1 MB"):
            await score("a")


async def test_a_warm_up_is_scored_first_and_its_failure_is_the_scorer_s(scoring):
    for instances in ({}, {"instances": 1}):
        async with scoring(warm_up="once" if instances else "warm", **instances) as score:
            await score("a")
        async with scoring(warm_up="raise", **instances) as score:
            with pytest.raises(UserCodeError, match=r"cannot score the text of `transform.warm_up`.*no such text"):
                await score("a")


async def test_texts_of_several_batches_share_a_call_where_they_may_wait(scoring):
    async with scoring(batch={"size": 4, "wait": "60s"}) as score:
        several = await asyncio.gather(*(score(each) for each in ("a", "bb", "ccc", "dddd")))
    assert [each.output["n"] for (each,) in several] == [1, 2, 3, 4]  # after no wait: four fill a call


async def test_fewer_texts_do_not_wait_for_longer_than_they_may(scoring):
    async with scoring(batch={"size": 32, "wait": "10ms"}) as score:
        assert (await score("a"))[0].output["n"] == 1


async def test_processes_end_with_their_worker(scoring, tmp_path):
    async with scoring(instances=2, batch=1) as score:
        await score("a", "b")
    assert not any(is_alive(int(each)) for each in loads(tmp_path))


async def test_processes_that_have_nothing_to_do_end(scoring, tmp_path):
    async with scoring(instances=1) as score:
        [instances] = score.catalog._scorers._apart.values()
        instances._idle_seconds = 0.0
        await score("a")
        async with within(30):
            while instances.pids:
                await asyncio.sleep(0.01)
        assert (await score("b"))[0].output["n"] == 1


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
