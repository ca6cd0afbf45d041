"""Runs pipelines that have an ontology, and maps sources to one, in this process."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from loom import Loom
from loom.cli.root_command import application
from loom.mapping.mapped import mapped
from loom.project.config import LoomConfig
from loom.requests.profiles import with_profile
from loom_common.errors import ConfigurationError, InvalidDefinition

SALES = """order_id,qty,unitPrice,discount,net_amount,colour
1,2,10,1,19,red
2,-1,10,0,-10,blue
3,2,10,1,55,red
"""
PIPELINE = """name: shop
ontology: retail
extract:
  source: sales.csv
  key: order_id
  quality_checks: [{check: ontology, rule: quantity_positive, action: quarantine}]
transform:
  steps:
    - {name: figures, type: metrics, metrics: [gross_amount, discount_share, return_share]}
    - name: kind
      type: ai
      model: gpt-4o-mini
      prompt: "Of this domain:\\n{{ ontology }}\\nWhat is {{ input.order_id }}?"
      output: {kind: string}
load: {destination: out.jsonl}
profiles:
  bare: {ontology: null, skip: [figures, kind]}
  other: {ontology: base, skip: [figures]}
"""


@pytest.fixture
def shop(tmp_path, monkeypatch, model):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_BASE_URL", model.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-none")
    (tmp_path / "sales.csv").write_text(SALES)
    (tmp_path / "shop.yaml").write_text(PIPELINE)
    return tmp_path


async def test_prompts_rules_metrics_and_lineage_know_the_ontology(shop, model):
    project = Loom()
    result = await project.run_pipeline("shop.yaml")
    report = result.report
    assert (result.status, report.records["quarantined"]) == ("succeeded", 1)
    rows = [json.loads(line) for line in (shop / "out.jsonl").read_text().splitlines()]
    assert [(row["order_id"], row["gross_amount"], row["discount_share"], row["return_share"]) for row in rows] == [
        ("1", 20.0, 0.05, None), ("3", 20.0, 0.05, None),
    ]  # fmt: skip
    asked = str(model.bodies[-1])
    assert "- quantity (measure, number, pieces): How many are bought." in asked
    checks = {each.name: each for each in report.checks}
    assert {name: (each.seen, each.missed) for name, each in checks.items()} == {
        "quantity_positive": (3, 1), "unit_price_not_negative": (3, 0), "discount_within_price": (3, 1),
        "net_amount_as_computed": (3, 1),
    }  # fmt: skip
    assert checks["quantity_positive"].outcome == "quarantined"
    (run,) = await project.get_lineage("shop")
    assert list(run["context_versions"]) == ["ontology:retail"]


def test_a_profile_takes_another_ontology_or_none(shop):
    loaded = Loom().load_pipeline("shop.yaml")
    assert loaded is not None
    from loom.project.definition_file import load

    whole = load(shop / "shop.yaml")
    with pytest.raises(ConfigurationError, match="takes no step"):
        with_profile(whole, "bare", ())
    other, said = with_profile(whole, "other", ())
    assert list(other.files) == ["ontology:base"]
    assert {each.rule for each in other.pipeline.extract.quality_checks} >= {"period_in_order"}
    assert "quantity_positive" not in {each.rule for each in other.pipeline.extract.quality_checks}
    assert "Its ontology is base." in said


def test_a_mistake_in_what_is_named_has_its_line(shop):
    from loom.project.definition_file import load

    (shop / "shop.yaml").write_text(PIPELINE.replace("ontology: retail", "ontology: retial"))
    with pytest.raises(InvalidDefinition) as refused:
        load(shop / "shop.yaml")
    (problem,) = refused.value.problems
    assert (problem.line, problem.key) == (2, "ontology")
    assert "Did you mean 'retail'?" in str(problem)


def run(*arguments):
    result = CliRunner().invoke(application(["ontology"]), ["ontology", *arguments])
    return result.exit_code, result.output


def test_ontologies_are_listed_shown_and_checked(shop):
    (shop / "ontologies").mkdir()
    file = shop / "ontologies" / "wines.yaml"
    twice = "  - {name: m, formula: quantty * 2}\n  - {name: m, formula: 3}\n"
    file.write_text(f"name: wines\nextends: retail\nmetrics:\n{twice}")
    code, out = run("validate", str(file))
    assert code == 2
    assert "wines.yaml:5" in out
    file.write_text("name: wines\nextends: retail\nmetrics:\n  - {name: m, formula: quantty * 2}\n")
    code, out = run("validate", str(file), "--format", "json")
    (problem,) = json.loads(out)[0]["problems"]
    assert (code, problem["line"], problem["key"]) == (2, 4, "metrics[0].formula")
    listed = {each["name"]: each for each in json.loads(run("list", "--format", "json")[1])}
    assert (listed["retail"]["place"], listed["retail"]["problem"]) == ("loom", None)
    assert "such as 'quantity'" in listed["wines"]["problem"]
    file.write_text("name: wines\nextends: retail\nmetrics:\n  - {name: m, formula: quantity * 2}\n")
    assert run("validate", str(file))[0] == 0
    assert "- m = quantity * 2" in run("show", "wines", "--format", "prompt")[1]
    assert json.loads(run("show", "wines", "--format", "json")[1])["metrics"][-1]["name"] == "m"


def test_a_source_is_mapped_to_the_ontology_that_fits_best(shop):
    code, out = run("map", "sales.csv", "--format", "json")
    found = json.loads(out)
    assert (code, found["ontology"], found["chosen"]) == (0, "retail", True)
    concepts = {each["column"]: each["concept"] for each in found["columns"]}
    assert concepts == {"order_id": "order", "qty": "quantity", "unitPrice": "unit_price", "discount": "discount",
                        "net_amount": "net_amount", "colour": None}  # fmt: skip
    assert found["metrics"] == ["gross_amount", "net_amount", "discount_share"]
    assert "Rules: quantity_positive" in run("map", "sales.csv", "--ontology", "retail")[1]


async def test_a_model_is_asked_about_fields_whose_names_do_not_say_it(shop, model):
    found = await mapped("sales.csv", LoomConfig.load(None), ontology="retail", model="gpt-4o-mini")
    (asked,) = (each for each in found.columns if each.column == "colour")
    assert (asked.by, len(model.asked)) == ("gpt-4o-mini", 1)
    assert found.cost > 0
    assert {each.by for each in found.columns if each.column != "colour"} == {"pattern"}
