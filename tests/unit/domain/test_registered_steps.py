"""Tests steps that packages offer by name: how they are found, what they add to a pipeline, and what is refused."""

from __future__ import annotations

import pytest

from loom_common.domain.definition.reader import parse
from loom_common.domain.definition.transforms.kinds import TRANSFORMS
from loom_common.domain.run.plan import Plan
from loom_common.domain.steps.operators import OPERATORS
from loom_common.domain.steps.profiles import profiled
from loom_common.domain.steps.registered.find import OWN_TRANSFORMS, registered_step
from loom_common.domain.steps.registered.step import pipeline_step, step_of
from loom_common.errors import PluginUnusable
from support.plugin_packages import plugin_packages, problems_of

STEPS = """
from loom import PluginTransform
from loom_common.domain.steps.registered.step import pipeline_step

LOOM_PLUGIN_API = 1


@pipeline_step(inputs=["text"], outputs={"size": "integer"}, phase="profiling", criticality="optional")
def measured(record):
    "Measure a text."
    return {"size": len(record["text"])}


@pipeline_step
class Doubled:
    "Double what was measured."

    name = "doubled"
    dependencies = ["measured"]
    phase = "enrichment"
    outputs = {"double": "integer"}

    def execute(self, record):
        return {"double": 2 * record["size"]}


@pipeline_step(name="times", outputs=lambda written: {written["into"]: "number"},
               inputs=lambda written: [written["field"]])
class Times(PluginTransform):
    field: str
    into: str
    factor: float = 2

    def build(self):
        return lambda record: {self.into: record[self.field] * self.factor}


@pipeline_step(name="lonely", dependencies=["nowhere"])
def lonely(record):
    return {}


def undecorated(record):
    return {}


@pipeline_step(scope="batch", outputs={"rank": "integer"})
def ranked(records):
    return [{"rank": sorted(each["size"] for each in records).index(one["size"])} for one in records]
"""
NAMES = {"measured": "measured", "doubled": "Doubled", "times": "Times", "lonely": "lonely", "ranked": "ranked",
         "undecorated": "undecorated", "alias": "measured"}  # fmt: skip


def definition(*steps, **sections):
    whole = {"name": "stepped", "extract": {"source": "a.csv"}, "load": {"destination": "out.csv"}}
    return {**whole, "transform": {"steps": list(steps)}, **sections}


@pytest.fixture
def packages(tmp_path, monkeypatch):
    with plugin_packages(tmp_path / "site", monkeypatch) as made:
        points = {f"loom.steps/{name}": f"loom_test_steps:{thing}" for name, thing in NAMES.items()}
        made.install("loom-test-steps", points, STEPS)
        yield made


def test_loom_s_own_transforms_are_never_looked_up():
    assert set(TRANSFORMS) == OWN_TRANSFORMS
    assert all(registered_step(name) is None for name in (*TRANSFORMS, *OPERATORS))


@pytest.mark.parametrize("written", ["doubled", {"name": "doubled"}, {"name": "doubled", "type": "doubled"}])
def test_a_step_is_taken_by_its_name_with_those_that_it_depends_on(packages, written):
    made = parse(definition(written)).transform
    assert [(step.name, step.type, step.needs, step.phase) for step in made.steps] == [
        ("doubled", "doubled", ["measured"], "enrichment"),
        ("measured", "measured", [], "profiling"),
    ]
    assert [(step.criticality, step.output) for step in made.steps] == [
        ("required", {"double": "integer"}),
        ("optional", {"size": "integer"}),
    ]


def test_a_step_of_the_pipeline_stands_for_one_that_another_depends_on(packages):
    own = {"name": "measured", "type": "python", "function": "a:b", "output": {"size": "integer"}}
    named = {"name": "length", "type": "measured"}
    assert [step.name for step in parse(definition("doubled", own)).transform.steps] == ["doubled", "measured"]
    assert parse(definition("doubled", named)).transform.steps[0].needs == ["length"]


def test_what_was_written_is_kept_when_a_plan_is_read_again(packages):
    written = {"name": "size", "type": "measured", "criticality": "required", "phase": "staging"}
    plan = Plan(pipeline=parse(definition(written, "doubled")))
    read = Plan.decoded(plan.encoded())
    assert read.hash == plan.hash
    assert (read.pipeline.transform.steps[0].criticality, read.pipeline.transform.steps[0].phase) == (
        "required",
        "staging",
    )
    again = parse(plan.pipeline.model_dump(mode="json", by_alias=True, exclude_unset=True))
    assert again == plan.pipeline


def test_a_step_has_the_keys_and_the_fields_that_its_class_says(packages):
    times = {"name": "more", "type": "times", "field": "stars", "into": "more", "needs": []}
    after = {"name": "good", "type": "filter", "where": "more == 'x'", "needs": "more"}
    assert "not a text" in problems_of(definition(times, after))[0]
    assert parse(definition(times)).transform.declared_schema["required"] == ["more"]
    (lacking,) = problems_of(definition({"name": "more", "type": "times", "into": "x"}))
    assert "`field`" in lacking


def test_a_field_that_only_a_later_step_makes_is_a_mistake_of_the_step_that_reads_it(packages):
    reading = {"name": "more", "type": "times", "field": "size", "into": "more"}
    assert "needs: [measured]" in problems_of(definition("measured", reading))[0]


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ("masured", "Did you mean 'measured'?"),
        ("outliers", "pip install loom-statistics"),
        ("lonely", "`lonely` depends on `nowhere`, which nothing here offers"),
        ("undecorated", "not decorated with `@pipeline_step`"),
        ("alias", "calls itself 'measured'"),
        ({"name": "measured", "type": "measured", "scope": "batch"}, "`record` here"),
        ({"name": "measured", "type": "measured", "size": 3}, "unknown key 'size'"),
    ],
)
def test_what_cannot_be_taken_is_told_with_its_remedy(packages, step, words):
    problems = problems_of(definition(step))
    assert any(words in each for each in problems), problems


@pytest.mark.parametrize(
    ("requirement", "fits"), [("loom-pipelines>=0.1", True), ("Loom.Pipelines>=99,<100", False), ("other>=9", True)]
)
def test_a_package_says_for_which_versions_of_loom_it_is(packages, tmp_path, requirement, fits):
    metadata = tmp_path / "site" / "loom_test_steps-1.0.dist-info" / "METADATA"
    metadata.write_text(f"{metadata.read_text()}Requires-Dist: {requirement}\n")
    if fits:
        assert registered_step("measured") is not None
        return
    with pytest.raises(PluginUnusable, match=r"loom-test-steps 1.0 needs Loom <100,>=99, and this is Loom \d"):
        registered_step("measured")


def test_a_profile_takes_a_step_with_those_that_it_depends_on(packages):
    pipeline = parse(
        definition(
            "doubled",
            {"name": "more", "type": "times", "field": "stars", "into": "more"},
            profiles={"quick": {"steps": ["doubled"]}, "all": {"steps": "all", "skip_steps": ["measured"]}},
        )
    )
    written = pipeline.model_dump(mode="json", by_alias=True, exclude_unset=True)
    made = profiled(written, pipeline.profiles["quick"])
    assert ([step["name"] for step in made.definition["transform"]["steps"]], made.added) == (
        ["doubled", "measured"],
        ("measured",),
    )
    rest = profiled(written, pipeline.profiles["all"])
    assert ([step["name"] for step in rest.definition["transform"]["steps"]], rest.left_out) == (["more"], ("doubled",))


@pytest.mark.parametrize(
    "said",
    [{"name": "two words"}, {"phase": "later"}, {"scope": "table"}, {"outputs": ["size"]}, {"criticality": "no"}],
)
def test_what_no_step_can_be_is_refused_where_it_is_decorated(said):
    with pytest.raises((TypeError, ValueError)):
        pipeline_step(**{"name": "one", **said})(lambda record: record)


def test_a_decorated_function_is_still_a_function():
    @pipeline_step(version="1.2", dependencies=["measured"])
    def counted(record):
        """Count what
        there is.

        More words."""
        return {"count": len(record)}

    step = step_of(counted)
    assert (step.name, step.description, step.version) == ("counted", "Count what there is.", "1.2")
    assert (step.dependencies, counted({"a": 1})) == (("measured",), {"count": 1})
