"""Tests streams that Python code opens and follows."""

from __future__ import annotations

import pytest

import loom
from loom import Loom
from loom_common.errors import ConfigurationError, PermanentError
from support.projects import project
from support.streamed import arrive, ids, ids_loaded, streaming, windows


async def test_windows_are_yielded_as_they_close_until_the_stream_is_drained(tmp_path):
    made = streaming(tmp_path)
    arrive(made, "a", range(13))
    sdk = Loom(made.folder / "loom.yaml")
    found = []
    async with sdk.open_stream(made.pipeline) as stream:
        async for window in stream:
            found.append((window.window.number, window.records["loaded"]))
            if len(found) == 1:
                with pytest.raises(ConfigurationError, match="at work"):
                    await sdk.open_stream(made.pipeline).open()
                await stream.drain()
    assert found == [(1, 10), (2, 3)]
    assert ids_loaded(made) == ids(range(13))


def test_leaving_the_block_pauses_the_stream_and_opening_it_again_goes_on(tmp_path):
    made = streaming(tmp_path)
    arrive(made, "a", range(13))
    sdk = loom.SyncLoom(made.folder / "loom.yaml")
    with sdk.open_stream(str(made.pipeline)) as stream:
        assert next(iter(stream)).records["loaded"] == 10
    assert windows(made)[-1][1] == "paused"
    made.say(version="2.0.0")
    with pytest.raises(ConfigurationError, match="is not open"):
        stream.drain()
    with sdk.open_stream(str(made.pipeline), canary=0.5) as stream:
        stream.rollback()
        stream.drain()
        assert sum(each.records["loaded"] for each in stream) == 3
    assert ids_loaded(made) == ids(range(13))


async def test_what_stops_a_stream_is_raised_and_names_the_window(tmp_path):
    made = streaming(tmp_path, transform={"type": "python", "function": "broken:fails", "on_failure": "abort"})
    made.path("broken.py").write_text("def fails(record):\n    raise ValueError('no')\n")
    arrive(made, "a", range(3))
    async with Loom(made.folder / "loom.yaml").open_stream(made.pipeline) as stream:
        with pytest.raises(PermanentError, match=r"has stopped, because the window run_.* failed: transform: Record"):
            async for _ in stream:
                pass


async def test_a_pipeline_that_ends_is_no_stream(tmp_path):
    made = project(tmp_path, 1)
    made.path("loom.yaml").write_text("{}\n")
    with pytest.raises(ConfigurationError, match="`run_pipeline` runs it"):
        await Loom(made.folder / "loom.yaml").open_stream(made.pipeline).open()
