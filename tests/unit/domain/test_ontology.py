"""Tests ontologies: how fields are matched to concepts, and what formulas and rules say of records."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loom_common.domain.ontology.checking import ontology_mistakes
from loom_common.domain.ontology.extending import extended, version_of
from loom_common.domain.ontology.formulas import Domain
from loom_common.domain.ontology.matching import SURE, columns_by_concept, matches, words_of
from loom_common.domain.ontology.model import Ontology
from loom_common.domain.ontology.prompt_text import LONGEST, prompt_text
from loom_common.errors import ConfigurationError

SHOP = Ontology.model_validate({
    "name": "shop", "description": "A shop.",
    "concepts": [
        {"name": "identifier", "indicators": ["*_id", "id"], "typical_role": "key"},
        {"name": "customer", "indicators": ["customer*", "buyer"], "typical_role": "dimension"},
        {"name": "quantity", "indicators": ["qty"], "typical_role": "measure"},
        {"name": "price", "indicators": ["*_price", "price"], "typical_role": "measure", "unit": "EUR",
         "temporal_behavior": "non_additive"},
        {"name": "ordered", "indicators": ["order_date"], "type": "date"},
        {"name": "shipped", "indicators": ["ship_date"], "type": "date"},
    ],
    "metrics": [
        {"name": "total", "formula": "quantity * price", "indicators": ["total", "sum*"]},
        {"name": "double", "formula": "total * 2"},
        {"name": "each", "formula": "total / quantity"},
    ],
    "quality_rules": [
        {"name": "some", "expression": "quantity > 0"},
        {"name": "sent_later", "expression": "shipped >= ordered"},
        {"name": "cheap", "expression": "double < 1000"},
    ],
    "semantic_hints": [{"pattern": "*_id", "role": "foreign_key"}, {"pattern": "id", "role": "key", "type": "string"}],
})  # fmt: skip


@pytest.mark.parametrize("written", ["customerID", "Customer ID", "customer-id", "customer_id", " CUSTOMER_ID "])
def test_a_name_is_the_same_however_its_words_are_parted(written):
    assert words_of(written) == "customer_id"
    (found,) = matches([written], SHOP)
    assert (found.concept, found.role) == ("customer", "foreign_key")


@pytest.mark.parametrize(
    ("column", "concept"),
    [
        ("price", "price"),
        ("unitPrice", "price"),
        ("QTY", "quantity"),
        ("order_id", "identifier"),
        ("customer_id", "customer"),
        ("total", "total"),
        ("sum_of_all", "total"),
        ("colour", None),
        ("", None),
    ],
)
def test_a_field_stands_for_what_its_name_says_most_exactly(column, concept):
    (found,) = matches([column], SHOP)
    assert found.concept == concept
    assert (found.confidence > 0) is (concept is not None)


def test_a_whole_name_is_surer_than_a_part_of_it_and_more_letters_than_fewer():
    sure = {each.column: each.confidence for each in matches(["price", "price_x", "a_price", "the_long_price"], SHOP)}
    assert sure["price"] == 1.0 > sure["a_price"] > sure["the_long_price"] >= SURE
    assert sure["price_x"] == 0.0


def test_values_of_another_type_make_a_match_unsure():
    (found,) = matches(["price"], SHOP, {"price": "string"})
    assert found.confidence < SURE
    assert "though its values are of type string" in found.why
    assert columns_by_concept([found]) == {}
    assert matches(["order_date"], SHOP, {"order_date": "string"})[0].confidence > SURE


def test_of_several_fields_the_surest_stands_for_a_concept():
    assert columns_by_concept(matches(["list_price", "price", "unit_price"], SHOP)) == {"price": "price"}


@given(st.lists(st.text(max_size=30), max_size=8))
def test_whatever_fields_are_called_a_confidence_is_a_share(columns):
    for each in matches(columns, SHOP):
        assert 0 <= each.confidence <= 1
        assert (each.concept is None) is (each.confidence == 0)


@pytest.mark.parametrize(
    ("record", "missed"),
    [
        ({"qty": 2, "price": 3, "total": 6}, set()),
        ({"qty": "2", "price": "3.5", "total": "7.01"}, set()),  # within the tolerance, as texts of a CSV file
        ({"qty": 2, "price": 3, "total": 7}, {"total_as_computed"}),
        ({"qty": 0, "price": 3}, {"some"}),
        ({"qty": 2, "price": 600}, {"cheap"}),
        ({"order_date": "2024-02-01", "ship_date": "2024-01-31"}, {"sent_later"}),
        ({"order_date": "2024-02-01", "ship_date": ""}, set()),  # nothing is said of what is missing
        ({"qty": None, "price": 3}, set()),
        ({"qty": "many", "price": 3}, set()),
        ({}, set()),
    ],
)
def test_rules_are_held_against_the_fields_that_stand_for_their_concepts(record, missed):
    domain = Domain(SHOP)
    assert {name for name, rule in domain.rules.items() if domain.miss(rule, record)} == missed


def test_a_miss_says_what_was_computed_of_what():
    domain = Domain(SHOP)
    said = domain.miss(domain.rules["total_as_computed"], {"qty": 2, "price": 3, "total": 7})
    assert said == "it is 7, and `quantity * price` comes to 6: price is 3, quantity is 2"
    assert domain.miss(domain.rules["some"], {"qty": -1}) == "`quantity > 0` is not true: quantity is -1"


def test_metrics_are_computed_of_concepts_and_of_each_other():
    metrics = {each.name: each for each in SHOP.metrics}
    domain = Domain(SHOP)
    assert domain.value(metrics["double"], {"qty": "2", "price": 3}) == 12.0
    assert domain.value(metrics["double"], {"total": 5}) == 10.0  # a field that holds it comes first
    assert domain.value(metrics["each"], {"qty": 0, "price": 3}) is None  # nothing is divided by zero
    assert domain.value(metrics["total"], {"qty": 1}) is None


def test_a_field_may_be_named_for_a_concept_by_hand():
    domain = Domain(SHOP, {"price": "x"})
    assert domain.columns({"x": 1, "price": 2, "qty": 3}) == {"price": "x", "quantity": "qty"}
    assert Domain(SHOP, {"price": "not there"}).columns({"price": 2}) == {"price": "price"}


def test_a_rule_says_something_only_of_records_with_its_concepts():
    domain = Domain(SHOP)
    assert domain.applies(domain.rules["cheap"], {"qty": 1, "price": 1})
    assert domain.applies(domain.rules["cheap"], {"total": 1})
    assert not domain.applies(domain.rules["cheap"], {"qty": 1})
    assert not domain.applies(domain.rules["total_as_computed"], {"qty": 1, "price": 1})


def family(**ontologies):
    made = {name: Ontology.model_validate({"name": name, **written}) for name, written in ontologies.items()}
    return made, lambda name: made[name]


def test_an_ontology_has_what_it_extends_and_changes_what_it_says():
    price = {"name": "price", "indicators": ["price"], "unit": "EUR"}
    made, read = family(
        low={"concepts": [price, {"name": "size"}], "semantic_hints": [{"pattern": "a*", "role": "key"}]},
        side={"concepts": [{"name": "price", "unit": "USD"}, {"name": "hue"}]},
        top={
            "extends": ["low", "side"],
            "concepts": [{"name": "size", "unit": "cm"}],
            "semantic_hints": [{"pattern": "a*", "role": "text"}],
        },
    )
    whole = extended(made["top"], read)
    assert [(each.name, each.unit, each.indicators) for each in whole.concepts] == [
        ("price", "USD", ["price"]), ("size", "cm", []), ("hue", None, []),
    ]  # fmt: skip
    assert [(each.pattern, each.role) for each in whole.semantic_hints] == [("a*", "text")]
    assert version_of(whole) == version_of(extended(made["top"], read)) != version_of(made["low"])


def test_a_circle_of_ontologies_is_told():
    made, read = family(a={"extends": "b"}, b={"extends": "c"}, c={"extends": "b"})
    with pytest.raises(ConfigurationError, match="b -> c -> b"):
        extended(made["a"], read)


def test_a_chain_that_meets_again_is_no_circle():
    made, read = family(
        a={"extends": ["b", "c"]}, b={"extends": "d"}, c={"extends": "d"}, d={"concepts": [{"name": "x"}]}
    )
    assert [each.name for each in extended(made["a"], read).concepts] == ["x"]


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        ({"formula": "prise * 2"}, "such as 'price'"),
        ({"formula": "price +"}, "an expression that can be read"),
        ({"formula": "price > 2"}, "a formula that comes to a number"),
        ({"formula": "price - ordered"}, "a formula that can be computed"),
        ({"formula": "1 + 2"}, "a formula that names a concept"),
        ({"formula": "price * 2", "required_concepts": ["quantity"]}, "the concepts that the formula names: price"),
        ({"formula": "worth + price"}, "metrics that do not need each other"),
    ],
)
def test_a_formula_that_cannot_be_computed_is_told_before_a_run(metric, words):
    written = {**SHOP.model_dump(), "metrics": [{"name": "worth", **metric}], "quality_rules": []}
    assert any(words in each.expected for each in ontology_mistakes(Ontology.model_validate(written)))


def test_a_rule_has_to_be_true_or_false():
    written = {**SHOP.model_dump(), "quality_rules": [{"name": "rule", "expression": "price + 1"}]}
    (found,) = ontology_mistakes(Ontology.model_validate(written))
    assert (found.section, found.expected) == ("quality_rules", "an expression that is true or false")


def test_a_prompt_shows_it_small():
    text = prompt_text(SHOP)
    assert text.startswith("shop: A shop.\nConcepts:\n")
    assert "- price (measure, EUR; never added up)" in text
    assert "- total = quantity * price" in text
    many = [{"name": f"c{number}", "description": "x" * 100} for number in range(200)]
    long = prompt_text(Ontology.model_validate({"name": "long", "concepts": many}))
    assert len(long) < LONGEST + 100
    assert long.endswith("lines more")
