"""Tests that what is written to publish a message is what a reader of AMQP takes for that message."""

from __future__ import annotations

import pytest
from aiormq import spec
from pamqp.body import ContentBody
from pamqp.frame import unmarshal
from pamqp.header import ContentHeader

from loom_common.adapters.amqp.message_frames import frames_of
from loom_common.flow import Exchange
from loom_common.ports.bus import Wire

CHANNEL = 7
PART = 100


def read(written: bytes) -> list[object]:
    """Return the frames in what was written, each of the channel."""
    frames = list[object]()
    while written:
        size, channel, frame = unmarshal(written)
        assert channel == CHANNEL
        frames.append(frame)
        written = written[size:]
    return frames


@pytest.mark.parametrize("size", [0, 1, PART - 1, PART, PART + 1, 3 * PART, 3 * PART + 5])
def test_a_message_is_where_it_goes_what_it_is_and_its_body_in_parts_of_the_largest_size(size: int) -> None:
    body = bytes(at % 251 for at in range(size))
    headers = {"loom-attempt": 2, "loom-epoch": 70_000, "traceparent": "00-ab"}
    wire = Wire(Exchange.WORK, "load.x", body, type="t", message_id="m", correlation_id="run", headers=headers)
    publish, header, *parts = read(b"".join(frames_of(wire, "m", CHANNEL, PART, "loom")))

    assert isinstance(publish, spec.Basic.Publish)
    assert (publish.exchange, publish.routing_key, publish.mandatory) == ("loom.work", "load.x", True)
    assert isinstance(header, ContentHeader)
    properties = header.properties
    assert header.body_size == size
    assert (properties.message_id, properties.correlation_id, properties.message_type) == ("m", "run", "t")
    assert (properties.delivery_mode, properties.headers, properties.user_id) == (2, headers, None)
    contents = [part.value for part in parts if isinstance(part, ContentBody)]
    assert len(contents) == len(parts) == -(-size // PART)
    assert b"".join(contents) == body


def test_a_body_is_written_without_being_copied() -> None:
    body = b"x" * (3 * PART)
    parts = [frame for frame in frames_of(Wire("", "q", body), "m", CHANNEL, PART, None) if len(frame) == PART]
    assert [isinstance(part, memoryview) and part.obj is body for part in parts] == [True] * 3


def test_a_request_names_its_sender() -> None:
    _, header = read(b"".join(frames_of(Wire(Exchange.RUNS, "run.request", b""), "m", CHANNEL, PART, "loom")))
    assert isinstance(header, ContentHeader)
    assert header.properties.user_id == "loom"
