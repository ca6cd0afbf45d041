"""Tests where ontologies are found, those that Loom brings, and what a pipeline that names one carries."""

from __future__ import annotations

import pytest

from loom_common.domain.definition.reader import parse
from loom_common.domain.ontology.in_plan import path_in, text_in
from loom_common.domain.ontology.matching import SURE, matches
from loom_common.errors import ConfigurationError
from loom_common.ontologies.applying import carried
from loom_common.ontologies.files import bundled_names
from loom_common.ontologies.find import listed, resolved, written
from support.plugin_packages import plugin_packages, problems_of

OWN = "name: wines\nextends: retail\nconcepts:\n  - {name: vintage, indicators: [vintage], type: integer}\n"
DEFINITION = {
    "name": "shop",
    "ontology": "retail",
    "extract": {
        "source": "a.csv",
        "quality_checks": [{"check": "ontology", "rule": "quantity_positive", "action": "fail"}],
    },
    "transform": {"type": "metrics", "metrics": ["gross_amount"]},
    "load": {"destination": "out.csv"},
}  # fmt: skip


def own(folder, text=OWN, name="wines"):
    (folder / "ontologies").mkdir(exist_ok=True)
    (folder / "ontologies" / f"{name}.yaml").write_text(text)
    return [folder]


def test_loom_brings_the_domains_of_its_documents():
    assert bundled_names() == [
        "base", "financial_reporting", "healthcare", "iot", "marketing", "operations", "retail",
    ]  # fmt: skip


@pytest.mark.parametrize("name", bundled_names())
def test_every_bundled_ontology_can_be_used(name):
    made = resolved(name)  # it raises where a formula names what is not there, or cannot be computed
    assert made.description
    assert len(made.concepts) >= 20
    assert all(each.description for each in made.concepts)
    assert all(each.description for each in made.quality_rules)
    if name != "base":
        assert {each.name for each in resolved("base").concepts} < {each.name for each in made.concepts}
        assert len(made.metrics) >= 5


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("financial_reporting", {"GL Account": "account", "Net Sales": "revenue", "COGS": "cost_of_revenue",
                                 "EBITDA": "ebitda", "Total Assets": "total_assets", "fiscalYear": "fiscal_year"}),
        ("retail", {"SKU": "product", "qty": "quantity", "UnitPrice": "unit_price", "InvoiceDate": "order_date",
                    "CustomerID": "customer", "Review Text": "review"}),
        ("marketing", {"utm_source": "channel", "Impressions": "impressions", "CTR": "click_through_rate",
                       "ad_spend": "spend"}),
        ("operations", {"machine_id": "resource", "downtime_min": "downtime", "OEE": "oee", "scrap": "units_scrapped"}),
        ("healthcare", {"MRN": "patient", "ICD10_code": "diagnosis", "SBP": "systolic", "BMI": "bmi",
                        "dob": "birth_date"}),
        ("iot", {"device_id": "device", "rssi": "signal_strength", "lat": "latitude", "temp_c": "temperature"}),
    ],
)  # fmt: skip
def test_fields_of_the_domain_are_known(name, fields):
    found = matches(fields, resolved(name))
    assert {each.column: each.concept for each in found} == fields
    assert all(each.confidence >= SURE for each in found)


def test_an_ontology_lies_beside_the_pipeline_or_in_a_package(tmp_path, monkeypatch):
    folders = own(tmp_path)
    with plugin_packages(tmp_path / "site", monkeypatch) as packages:
        points = {"loom.ontologies/cellar": "loom_test_cellar:cellar", "loom.ontologies/odd": "loom_test_cellar:odd"}
        code = "LOOM_PLUGIN_API = 1\ncellar = {'name': 'cellar', 'extends': 'wines', 'concepts': [{'name': 'rack'}]}\n"
        code += "odd = 3\n"
        packages.install("loom-test-cellar", points, code)
        names = [each.name for each in resolved("cellar", folders).concepts]
        assert {"identifier", "product", "vintage", "rack"} < set(names)
        places = dict(listed(folders))
        assert places["wines"].endswith("wines.yaml")
        assert (places["cellar"], places["base"]) == ("loom-test-cellar 1.0", "loom")
        with pytest.raises(ConfigurationError, match="must be a mapping"):
            resolved("odd", folders)


def test_one_of_the_project_comes_before_one_of_loom_s(tmp_path):
    folders = own(tmp_path, "name: retail\nconcepts: [{name: thing}]\n", "retail")
    assert [each.name for each in resolved("retail", folders).concepts] == ["thing"]
    assert "product" in {each.name for each in resolved("retail").concepts}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: other\n", "calls itself 'other'"),
        ("name: wines\nextends: retial\n", "Did you mean 'retail'?"),
        ("name: wines\nconcepts: [{name: Big Size}]\n", "lower case letters"),
        ("name: wines\nmetrics: [{name: m, formula: x * 2}]\n", "metrics.m.formula: found x"),
        ("name: [wines\n", "is no YAML"),
        ("- wines\n", "is no mapping"),
        ("name: wines\nextends: wines\n", "wines -> wines"),
    ],
)
def test_a_mistake_in_one_is_told(tmp_path, text, words):
    with pytest.raises(ConfigurationError) as refused:
        resolved("wines", own(tmp_path, text))
    assert words in str(refused.value)


def test_a_name_leads_to_no_file_elsewhere(tmp_path):
    (tmp_path / "secret.yaml").write_text("name: secret\n")
    with pytest.raises(ConfigurationError, match="There is no ontology"):
        written("../secret", own(tmp_path))


def test_a_pipeline_carries_its_ontology_and_its_rules_once(tmp_path):
    made, files, problems = carried(DEFINITION, {"prompt.txt": "x"})
    again, twice, _ = carried(made, files)
    checks = {each["rule"]: each["action"] for each in made["extract"]["quality_checks"]}
    assert (problems, again, twice) == ([], made, files)
    assert (path_in(files), files["prompt.txt"]) == ("ontology:retail", "x")
    assert checks["quantity_positive"] == "fail"  # as the pipeline says
    assert checks["rating_in_range"] == checks["net_amount_as_computed"] == "warn"
    assert "- quantity (measure, number, pieces)" in text_in(files)
    assert len(parse(made).extract.quality_checks) == len(checks)
    without, _, _ = carried({**DEFINITION, "ontology": {"name": "retail", "quality_rules": False}}, {})
    assert len(without["extract"]["quality_checks"]) == 1


@pytest.mark.parametrize(
    ("sections", "key", "suggestion"),
    [
        ({"ontology": "retial"}, "ontology", None),
        ({"ontology": {"name": "retail", "columns": {"quantty": "n"}}}, "ontology.columns.quantty", "quantity"),
        ({"transform": {"type": "metrics", "metrics": ["gros_amount"]}}, "transform.metrics[0]", "gross_amount"),
        ({"transform": {"steps": [{"name": "m", "type": "metrics", "metrics": ["x"]}]}},
         "transform.steps[0].metrics[0]", None),
        ({"extract": {"source": "a.csv", "quality_checks": [{"check": "ontology", "rule": "rating_inrange"}]}},
         "extract.quality_checks[0].rule", "rating_in_range"),
    ],
)  # fmt: skip
def test_what_the_ontology_does_not_have_is_told_with_its_place(sections, key, suggestion):
    _, _, problems = carried({**DEFINITION, **sections}, {})
    assert [(each.key, each.suggestion) for each in problems] == [(key, suggestion)]


@pytest.mark.parametrize("sections", [{}, {"transform": {"type": "passthrough"}, "extract": DEFINITION["extract"]}])
def test_what_needs_an_ontology_is_a_mistake_without_one(sections):
    alone = {**DEFINITION, "extract": {"source": "a.csv"}, **sections}
    del alone["ontology"]
    assert "`ontology: NAME` in the pipeline" in problems_of(alone)[0]
