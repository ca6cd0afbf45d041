"""Says in Loom's errors what Kafka refuses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import KafkaError, KafkaException

from loom_common.errors import AccessRefused, ConfigurationError, DependencyUnavailable, LoomError, SourceError
from loom_connectors.kafka.address import Address
from loom_connectors.kafka.client import Troubles

_REFUSED = {
    KafkaError._AUTHENTICATION,
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError.UNSUPPORTED_SASL_MECHANISM,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
}
_MISSING = {
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_TOPIC,
    KafkaError._UNKNOWN_PARTITION,
}
PASSING = {
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.BROKER_NOT_AVAILABLE,
    KafkaError.REQUEST_TIMED_OUT,
    KafkaError.NETWORK_EXCEPTION,
    KafkaError.KAFKA_STORAGE_ERROR,
}
"""Holds what a broker says that cannot serve at the moment."""
_TAKEN = {
    KafkaError.UNKNOWN_MEMBER_ID,
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.NON_EMPTY_GROUP,
    KafkaError.REBALANCE_IN_PROGRESS,
}
_SETTINGS = {KafkaError._INVALID_ARG, KafkaError._NOT_IMPLEMENTED}


class Unanswered(Exception):  # this is no error of the program: `trouble` says what it means
    """The brokers, and the client, did not answer."""


@contextmanager
def trouble(address: Address, troubles: Troubles) -> Iterator[None]:
    """Raise an error of Loom's for one of Kafka's: `AccessRefused`, `DependencyUnavailable`, `SourceError` or
    `ConfigurationError`."""
    try:
        yield
    except Unanswered as error:
        raise _away(address, "no answer") from error
    except KafkaException as error:
        (first, *_) = error.args
        said = first if isinstance(first, KafkaError) else None
        if said is None:
            raise _away(address, _words(str(first))) from error
        raise error_of(said, address, troubles) from error
    troubles.clear()


def error_of(said: KafkaError, address: Address, troubles: Troubles) -> LoomError:
    """Return the error of Loom's for what the client or a broker said."""
    if said.code() not in _REFUSED and troubles.refusal is not None:
        said = troubles.refusal
    code, words = said.code(), _words(said.str())
    if code in _REFUSED:
        return AccessRefused(
            f"Kafka at {address.shown} refuses the topic '{address.topic}' to the group '{address.group}': {words}. "
            "Check user, password and `sasl`, and grant the user Describe and Read on the topic and Read on the group."
        )
    if code in _MISSING:
        return SourceError(
            f"Kafka at {address.shown} has no topic '{address.topic}'. Create it, or correct its name in "
            "extract.source."
        )
    if code in _SETTINGS:
        return ConfigurationError(f"The settings of the kafka:// URL cannot be used: {words}.")
    if code in _TAKEN:
        return SourceError(
            f"The group '{address.group}' of Kafka at {address.shown} has members, which are other programs. Have Loom "
            f"read by a group of its own: kafka://.../{address.topic}?group=loom-{address.topic}."
        )
    if code == KafkaError._BAD_MSG or (code > 0 and code not in PASSING):
        return SourceError(f"Kafka at {address.shown} refuses the topic '{address.topic}': {words}.")
    if code == KafkaError._SSL:
        words += ". kafkas:// is for listeners with TLS, whose certificate `ssl_ca` has to vouch for"
    elif troubles.last is not None and troubles.last.code() == KafkaError._ALL_BROKERS_DOWN:
        words = "connections to it end at once, as where it asks for a user, or for TLS, which kafkas:// is for"
    elif troubles.last is not None:
        words = _words(troubles.last.str())
    return _away(address, words)


def _away(address: Address, words: str) -> DependencyUnavailable:
    return DependencyUnavailable(
        f"Kafka at {address.shown} cannot be reached: {words}. Check that it runs, also under the addresses that its "
        "brokers advertise, and try again."
    )


def _words(text: str) -> str:
    return text.strip().rstrip(".") or "no reason was given"
