"""Tests attachments of questions: where they may be read from, what they may be, and how much is held of them."""

from __future__ import annotations

import asyncio
import base64
import hashlib

import pytest
from aiohttp import web

from loom_ai.journal.models import JournalledModels
from loom_ai.stores.memory.journal import MemoryJournal
from loom_common.errors import PermanentError
from loom_common.http.public_addresses import may_be_reached
from loom_common.worker.context import Context
from loom_transformer.attachments.memory import AttachmentMemory
from loom_transformer.attachments.places import AttachmentPlaces
from loom_transformer.transforms.catalog import Catalog
from support.media import pdf, png, wav
from support.plans import batch_of, plan_of
from support.scripted_model import ScriptedModel, settle

AI = {"type": "ai", "prompt": "What is it?", "model": "gpt-4o", "base_url": "http://h/v1"}
IMAGE = [{"image": "{{ input.photo }}"}]


async def asked(folder, records, attachments=IMAGE, journal=None, **changes):
    model = ScriptedModel()
    plan = plan_of({**AI, "attachments": attachments, **changes})
    transform = Catalog(JournalledModels(model, journal or MemoryJournal()), folder).transform_of(plan)
    return model, await transform.apply("run_1", batch_of(plan, records).records, Context())


async def refused(folder, place, attachments=IMAGE, **changes):
    model, (outcome,) = await asked(folder, [{"photo": place}], attachments, **changes)
    assert model.calls == []
    return outcome.error.code, str(outcome.error)


async def test_an_image_of_the_project_is_part_of_the_question(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/cat.png").write_bytes(png(30, 20))
    model, (outcome,) = await asked(tmp_path, [{"photo": "photos/cat.png"}])
    assert outcome.error is None
    (attached,) = model.calls[0].messages[-1].attachments
    assert (attached.media_type, attached.width, attached.height) == ("image/png", 30, 20)
    assert attached.digest == hashlib.sha256(png(30, 20)).hexdigest()


async def test_content_that_lies_elsewhere_is_not_paid_for_again(tmp_path):
    (tmp_path / "a.png").write_bytes(png())
    (tmp_path / "b.png").write_bytes(png())
    (tmp_path / "c.png").write_bytes(png(note=b"another"))
    journal = MemoryJournal()
    encoded = "data:image/png;base64," + base64.b64encode(png()).decode()
    places = ["a.png", "b.png", encoded, {"$bytes": png().hex()}, "c.png"]
    counts = []
    for place in places:
        model, (outcome,) = await asked(tmp_path, [{"photo": place}], journal=journal)
        assert outcome.error is None, outcome.error
        counts.append(len(model.calls))
    assert counts == [1, 0, 0, 0, 1]


async def test_the_record_shows_what_was_attached_when_it_fails(tmp_path):
    _, (outcome,) = await asked(tmp_path, [{"photo": "gone.png"}])
    assert outcome.error.code == "attachment_unreadable"
    assert outcome.error.details["prompt"] == "[image: gone.png]\nWhat is it?"


@pytest.mark.parametrize(
    ("place", "code"),
    [
        ("../outside.png", "attachment_refused"),
        ("/etc/hostname", "attachment_refused"),
        ("link.png", "attachment_refused"),
        ("file:///etc/hostname", "attachment_refused"),
        ("text.png", "attachment_of_another_kind"),
        ("bill.pdf", "attachment_of_another_kind"),
        ("empty.png", "attachment_unreadable"),
        ("a\0b.png", "attachment_refused"),
        ("data:image/png;base64,###", "attachment_unreadable"),
        ("", "attachment_missing"),
        ("s3://theirs/secret.png", "attachment_refused"),
        ("http://127.0.0.1:1/a.png", "attachment_refused"),
        ("http://169.254.169.254/latest/meta-data", "attachment_refused"),
        ("http://[::1]/a.png", "attachment_refused"),
        ("http://localhost/a.png", "attachment_refused"),
    ],
)
async def test_what_may_not_be_read_is_refused_for_its_record_alone(tmp_path, place, code):
    inside = tmp_path / "project"
    inside.mkdir()
    (tmp_path / "outside.png").write_bytes(png())
    (inside / "link.png").symlink_to(tmp_path / "outside.png")
    (inside / "text.png").write_text("no image at all")
    (inside / "bill.pdf").write_bytes(pdf(1))
    (inside / "empty.png").touch()
    found, words = await refused(inside, place)
    assert found == code, words


async def test_the_bucket_is_the_pipelines_to_say(tmp_path):
    for place in ("s3://mine/../x", "s3://theirs/a.png", "s3://mine/a.png?endpoint=http://evil"):
        code, words = await refused(tmp_path, place, [{"image": "{{ input.photo }}"}])
        assert (code, "the pipeline's template has to begin with the bucket" in words) == ("attachment_refused", True)


async def test_a_large_attachment_quarantines_its_record(tmp_path):
    (tmp_path / "a.png").write_bytes(png())
    code, words = await refused(tmp_path, "a.png", [{"image": "{{ input.photo }}", "max_bytes": 10}])
    assert (code, words) == ("attachment_too_large", "a.png has more than 10 bytes")


async def test_an_optional_attachment_may_be_missing(tmp_path):
    attachments = [{"image": "{{ input.photo }}", "optional": True}]
    model, (outcome,) = await asked(tmp_path, [{"photo": None}], attachments)
    assert (outcome.error, model.calls[0].messages[-1].attachments) == (None, ())


@pytest.mark.parametrize(
    ("model", "attachments", "words"),
    [
        ("anthropic:claude-haiku-4-5", [{"audio": "a.wav"}], "takes no audio"),
        ("bedrock:x", IMAGE, "takes no image"),
        ("gpt-4o", [{"document": "a.pdf", "url": "pass_on"}], "no address of document files can be passed on"),
    ],
)
def test_a_model_that_takes_no_such_attachments_ends_the_run(tmp_path, model, attachments, words):
    plan = plan_of({"type": "ai", "prompt": "?", "model": model, "attachments": attachments})
    with pytest.raises(PermanentError, match=words):
        Catalog(JournalledModels(ScriptedModel(), MemoryJournal()), tmp_path).transform_of(plan)


async def test_an_address_can_be_passed_on_and_is_not_fetched(tmp_path):
    attachments = [{"image": "{{ input.photo }}", "url": "pass_on"}]
    model, _ = await asked(tmp_path, [{"photo": "https://example.org/a.webp?sig=1"}], attachments)
    (attached,) = model.calls[0].messages[-1].attachments
    assert (attached.url, attached.media_type, attached.data) == (
        "https://example.org/a.webp?sig=1",
        "image/webp",
        b"",
    )
    code, _ = await refused(tmp_path, "https://example.org/a.png", [{"image": "{{ input.photo }}", "url": "refuse"}])
    assert code == "attachment_refused"


@pytest.mark.parametrize(
    ("address", "reached"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("127.0.0.1", False),
        ("10.0.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:10.0.0.1", False),
        ("2002:a00:1::", False),
        ("nonsense", False),
    ],
)
def test_only_public_addresses_are_reached(address, reached):
    assert may_be_reached(address) is reached


@pytest.fixture
async def site(monkeypatch):
    """Provide a web server on this machine, and allow it to be reached."""
    monkeypatch.setenv("LOOM_ALLOWED_NETWORKS", "127.0.0.0/8")
    asked_for = []

    async def handle(request):
        asked_for.append(request.path)
        match request.path:
            case "/a.png":
                return web.Response(body=png(3, 3))
            case "/away":
                raise web.HTTPFound("/a.png")
            case "/out":
                raise web.HTTPFound("http://10.0.0.1/a.png")
            case "/loop":
                raise web.HTTPFound("/loop")
            case "/large":
                return web.Response(body=png(note=bytes(5000)))
        raise web.HTTPNotFound

    app = web.Application()
    app.router.add_get("/{tail:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    server = web.TCPSite(runner, "127.0.0.1", 0)
    await server.start()
    port = runner.addresses[0][1]
    yield f"http://127.0.0.1:{port}", asked_for
    await runner.cleanup()


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/a.png", None),
        ("/away", None),
        ("/out", "attachment_refused"),
        ("/loop", "attachment_unavailable"),
        ("/gone", "attachment_unavailable"),
        ("/large", "attachment_too_large"),
    ],
)
async def test_an_allowed_address_is_fetched_and_each_redirection_looked_at(tmp_path, site, path, code):
    address, asked_for = site
    attachments = [{"image": "{{ input.photo }}", "max_bytes": 1000}]
    _, (outcome,) = await asked(tmp_path, [{"photo": f"{address}{path}?key=hush"}], attachments)
    assert (outcome.error and outcome.error.code) == code, outcome.error
    assert "hush" not in str(outcome.error)
    assert asked_for


async def test_a_name_that_stands_for_a_private_address_is_not_fetched(tmp_path, site, monkeypatch):
    address, asked_for = site
    monkeypatch.delenv("LOOM_ALLOWED_NETWORKS")
    code, words = await refused(tmp_path, address.replace("127.0.0.1", "localhost") + "/a.png")
    assert (code, "private network" in words, asked_for) == ("attachment_refused", True, [])


async def test_attachments_in_memory_stay_within_their_bound():
    memory, entered, leave = AttachmentMemory(100), [], asyncio.Event()

    async def hold(name, size):
        async with memory.held(size):
            entered.append(name)
            await leave.wait()

    tasks = [asyncio.create_task(hold(*each)) for each in (("a", 60), ("b", 60), ("c", 30), ("whole", 500))]
    await settle(lambda: entered == ["a"])
    tasks[1].cancel()  # who gives up waiting lets the next one through
    leave.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert entered == ["a", "c", "whole"]
    async with asyncio.timeout(5), memory.held(100):
        pass


async def test_a_recording_is_attached_and_one_that_only_google_takes_is_refused(tmp_path):
    (tmp_path / "a.wav").write_bytes(wav(1.5))
    (tmp_path / "a.flac").write_bytes(b"fLaC" + bytes(20))
    audio = [{"audio": "{{ input.photo }}"}]
    model, _ = await asked(tmp_path, [{"photo": "a.wav"}], audio)
    assert model.calls[0].messages[-1].attachments[0].seconds == pytest.approx(1.5, abs=0.01)
    code, _ = await refused(tmp_path, "a.flac", audio)
    assert code == "attachment_of_another_kind"


async def test_networks_that_cannot_be_read_are_told(tmp_path, monkeypatch):
    from loom_common.errors import ConfigurationError

    monkeypatch.setenv("LOOM_ALLOWED_NETWORKS", "10.1.0.0/99")
    with pytest.raises(ConfigurationError, match="LOOM_ALLOWED_NETWORKS is no list of networks"):
        AttachmentPlaces((tmp_path,))
