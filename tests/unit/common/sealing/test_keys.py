"""Tests what keys seal and open."""

from __future__ import annotations

import base64

import pytest

from loom_common.config.credentials import Credentials
from loom_common.domain.sealing.tokens import PREFIX, masked
from loom_common.errors import ConfigurationError, PermanentError
from loom_common.sealing.keyring import Keyring
from loom_common.sealing.keys import Key, Keys

OLD, NEW = Key(bytes(32)), Key(bytes(range(32)))


@pytest.mark.parametrize("text", [b"", b"x", b'"ada@example.org"', b"\x80\x00\x00", bytes(100), b" " * 32])
def test_what_was_sealed_is_opened_as_it_was(text):
    keys = Keys([NEW])
    token = keys.seal(text, "people/email")
    assert token.startswith(PREFIX)
    assert keys.open(token, "people/email") == text
    assert keys.seal(text, "people/email") != token


def test_a_value_is_opened_for_its_own_field_alone_and_only_as_it_was():
    keys = Keys([NEW])
    token = keys.seal(b"ada", "people/email")
    for other, context in ((token, "people/name"), (token, "others/email"), (token[:-2] + "AA", "people/email")):
        with pytest.raises(PermanentError, match="cannot be opened: it was changed, or it was sealed for another"):
            keys.open(other, context)
    with pytest.raises(PermanentError, match="is cut"):
        keys.open(token[:40], "people/email")


def test_the_first_key_seals_and_all_of_them_open():
    before = Keys([OLD]).seal(b"ada", "c")
    during, after = Keys([NEW, OLD]), Keys([NEW])
    assert during.open(before, "c") == b"ada"
    assert after.open(during.seal(b"ada", "c"), "c") == b"ada"
    with pytest.raises(
        PermanentError, match=f"its key \\({OLD.name.hex()}\\) is not among those of LOOM_ENCRYPTION_KEYS"
    ):
        after.open(before, "c")


def test_lengths_tell_little():
    keys = Keys([NEW])
    assert len({len(keys.seal(text, "c")) for text in (b"true", b"false", b"null", b"1", b'"ada@example.org"')}) == 1


def test_an_index_depends_on_the_key_and_on_nothing_else():
    assert Keys([NEW, OLD]).indexes("question") == [*Keys([NEW]).indexes("question"), *Keys([OLD]).indexes("question")]
    assert len({*Keys([NEW, OLD]).indexes("question"), *Keys([NEW]).indexes("other")}) == 3


@pytest.mark.parametrize("text", ["s3cret", "", base64.b64encode(bytes(16)).decode(), "é" * 44])
def test_a_text_that_is_no_key_is_not_quoted(text):
    with pytest.raises(ConfigurationError, match="expected 32 random bytes in base64") as raised:
        Key.read(text, "${vault:loom#key}")
    assert "s3cret" not in str(raised.value)
    assert "${vault:loom#key} is no key" in str(raised.value)


@pytest.mark.parametrize("write", [base64.b64encode, base64.urlsafe_b64encode])
def test_a_key_is_read_in_both_alphabets_of_base64(write):
    secret = b"\xfb\xff" * 16
    assert Key.read(write(secret).decode() + "\n", "x").secret == secret


async def test_a_key_ring_tells_which_key_is_missing(monkeypatch):
    monkeypatch.setenv("NEW_KEY", base64.b64encode(NEW.secret).decode())
    monkeypatch.delenv("OLD_KEY", raising=False)
    assert Keyring(["${NEW_KEY}"], Credentials()).trouble() is None
    assert (await Keyring(["${NEW_KEY}"], Credentials()).keys()).seal(b"", "c")
    words = Keyring(["${NEW_KEY}", "${OLD_KEY}"], Credentials()).trouble()
    assert words is not None
    assert "${OLD_KEY} is not set" in words
    with pytest.raises(ConfigurationError, match=r"OLD_KEY"):
        await Keyring(["${NEW_KEY}", "${OLD_KEY}"], Credentials()).keys()
    with pytest.raises(ConfigurationError, match="No key of sensitive fields is named"):
        await Keyring([], Credentials()).keys()


def test_sealed_values_are_masked_wherever_they_stand():
    token = Keys([NEW]).seal(b"ada", "c")
    assert masked({"a": [token, 1], "b": f"<{token}> and {token}", "c": None}) == {
        "a": ["***", 1], "b": "<***> and ***", "c": None,
    }  # fmt: skip
