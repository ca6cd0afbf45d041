"""The first sentence of every docstring is a whole sentence, which a stranger understands without the name above it."""

from functools import lru_cache

import pytest

from support.documents import ROOT
from support.sentences import (
    attribute_docstrings,
    docstrings,
    first_sentence,
    is_fragment,
    is_vague,
    leans_on_its_place,
)
from support.syntax import source_paths, statements


@lru_cache(maxsize=1)
def written():
    """Return what is said of modules, classes and functions, and what is said of attributes: each time the place and
    the first sentence."""
    found = [], []
    for path in source_paths():
        nodes = list(statements(ROOT / path))
        for of_kind, texts in zip(found, (docstrings, attribute_docstrings), strict=True):
            of_kind += [(f"{path}:{line}", first_sentence(text)) for line, text in texts(nodes)]
    return found


def test_the_first_sentence_of_every_docstring_has_a_verb_of_its_own():
    fragments = [f"{place}: {sentence}" for place, sentence in written()[0] if is_fragment(sentence)]
    assert not fragments, "Say with a verb what the thing does, holds or returns:\n" + "\n".join(fragments)


def test_what_is_said_of_an_attribute_says_what_it_is():
    vague = [f"{place}: {sentence}" for place, sentence in written()[1] if is_vague(sentence)]
    assert not vague, "Say with a verb what the attribute is or holds:\n" + "\n".join(vague)


def test_the_first_sentence_of_every_docstring_names_what_it_is_about():
    leaning = [f"{place}: {text}" for told in written() for place, text in told if leans_on_its_place(text)]
    assert not leaning, "Name the thing in the place of the pronoun:\n" + "\n".join(leaning)


@pytest.mark.parametrize(
    "text", ["Print it on stdout.", "Its size in bytes.", "It is a size.", "Those that failed.", "The same for tokens."]
)
def test_a_pronoun_without_its_noun_is_found(text):
    assert leans_on_its_place(text)


@pytest.mark.parametrize("text", ["Print the error.", "The same rows make the same bytes.", "Items are kept."])
def test_a_sentence_that_names_what_it_is_about_is_let_through(text):
    assert not leans_on_its_place(text)


@pytest.mark.parametrize(
    "text", ["In bytes.", "Of one process.", "Whether it is open.", "How to see the others.", "USD."]
)
def test_a_vague_word_about_an_attribute_is_found(text):
    assert is_vague(text)


@pytest.mark.parametrize(
    "text", ["Consecutive failures.", "Is in bytes.", "Tells whether it is open.", "Seconds to wait."]
)
def test_a_name_or_a_sentence_about_an_attribute_is_let_through(text):
    assert not is_vague(text)


@pytest.mark.parametrize(
    "fragment",
    [
        "A dict.",
        "The rows of a run.",
        "Of one process.",
        "In bytes.",
        "Whether the breaker is open.",
        "Where a message is published: an exchange and a routing key.",
        "What every destination must do with a batch: take it once, whoever loads it.",
        "A server program as data: its command, its user, and the signals that end it.",
        "The calls of one stage that share purpose, provider and model.",
        "How fast a run goes: the rate of each stage, and when it will be done.",
        "A record as the source has it.",
        "As a transformer does it.",
        "One of the parts.",
        "`loom quarantine retry`: a replay, or nothing.",
        "Around the call.",
        "For good.",
        "Records of a run.",
        "Whether a budget bears a run: what is said before it begins.",
        "The run's report; what was there must stay.",
    ],
)
def test_a_fragment_is_found(fragment):
    assert is_fragment(fragment)


@pytest.mark.parametrize(
    "sentence",
    [
        "Return the rows of a run.",
        "Holds one row of `pipeline_runs`, as the query reads it.",
        "Tells whether the breaker is open.",
        "Is raised on purpose.",
        "Never ends the process.",
        "A broken file is refused.",
        "Facts may come twice and in any order: the batch row is the same.",
        "What a service does again and again ends when the service is asked to stop.",
        "`python -m loom_extractor` runs the extractor as a process of its own.",
        "Others have their turn while one sleeps.",
        "It works on twenty at once: more of them only queue there.",
    ],
)
def test_a_sentence_is_let_through(sentence):
    assert not is_fragment(sentence)
