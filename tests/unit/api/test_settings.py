"""Tests where the API may listen, and what it says where it may not."""

import socket

import pytest

from loom_api.http.answers import has
from loom_api.http.guard import name_in
from loom_api.server import address_of, listen
from loom_api.settings import ApiSettings
from loom_common.domain.identity_provider import is_loopback
from loom_common.errors import ConfigurationError


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "loom.example"])
def test_an_address_that_others_reach_is_refused_unless_access_is_controlled_or_they_do_not_reach_it(host):
    for settings in (ApiSettings(host=host, port=0), ApiSettings(host=host, port=0, behind_proxy=True)):
        with pytest.raises(ConfigurationError, match=r"nothing says who may do what.* `loom token create`"):
            listen(settings)
        settings.refuse_open_address(controlled=True)
    ApiSettings(host=host, unprotected=True).refuse_open_address(controlled=False)


@pytest.mark.parametrize("host", ["", "  "])
@pytest.mark.parametrize("controlled", [True, False])
def test_no_address_at_all_is_refused_whoever_may_do_what(host, controlled):
    with pytest.raises(
        ConfigurationError, match=r"The address to listen on is empty: --host, or LOOM_API_HOST\. Name one"
    ):
        listen(ApiSettings(host=host, port=0, unprotected=True), controlled=controlled)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_addresses_of_this_machine_are_taken(host):
    assert is_loopback(host)


def test_a_port_that_is_taken_is_told_with_what_to_do():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=rf"Cannot listen on 127.0.0.1:{port}: .*`loom serve` has --host"):
            listen(ApiSettings(port=port))


def test_the_address_names_the_port_that_was_free():
    with listen(ApiSettings(port=0)) as listening:
        assert address_of(listening) == f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.mark.parametrize(("name", "value"), [("PORT", "many"), ("PORT", "70000"), ("CORS_ORIGINS", "no list")])
def test_a_variable_that_cannot_be_used_is_told(monkeypatch, name, value):
    monkeypatch.setenv(f"LOOM_API_{name}", value)
    with pytest.raises(ConfigurationError, match=f"LOOM_API_{name}|{name.lower()}"):
        ApiSettings()


@pytest.mark.parametrize(
    ("host", "name"), [("localhost:8780", "localhost"), ("[::1]:8780", "::1"), ("127.0.0.1", "127.0.0.1"), ("", "")]
)
def test_the_name_of_a_host_is_read_without_its_port(host, name):
    assert name_in(host) == name


@pytest.mark.parametrize(
    ("said", "known"), [(None, False), ('"a"', True), ('"b", W/"a"', True), ("*", True), ('"b"', False), ("a", False)]
)
def test_a_tag_is_found_among_those_that_a_client_knows(said, known):
    assert has(said, '"a"') is known
