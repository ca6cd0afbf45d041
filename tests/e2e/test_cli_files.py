"""Tests `loom validate` and `loom init`: what a pipeline file says, and a first one to begin with."""

import json
from pathlib import Path

import pytest

from support.command import loom
from support.projects import ai, project

EXAMPLE = Path(__file__).parents[2] / "examples/customer_sentiment"
BAD = """\
name: Bad Name
extract: {source: numbers.csv, batchsize: 3}
transform: {type: pasthrough}
load: {destination: 'postgres://me:hush@h/db?table=t'}
"""


async def test_validate_tells_every_mistake_of_every_file_and_exits_with_2(tmp_path):
    (tmp_path / "bad.yaml").write_text(BAD)
    (tmp_path / "worse.yaml").write_text("name: [\n")
    ran = await loom(tmp_path, "validate", "bad.yaml", "worse.yaml", "absent.yaml", "--format", "json")
    bad, worse, absent = ran.report
    assert (ran.code, [one["valid"] for one in ran.report]) == (2, [False] * 3)
    assert [(one["line"], one["key"]) for one in bad["problems"]] == [
        (1, "name"),
        (2, "extract.batchsize"),
        (3, "transform.type"),
        (4, "load.destination"),
    ]
    assert bad["problems"][1]["suggestion"] == "batch_size"
    assert (worse["problems"][0]["file"], worse["problems"][0]["line"]) == ("worse.yaml", 2)
    assert absent["problems"][0]["found"] == "no such file"
    assert "hush" not in ran.out + ran.err


async def test_validate_shows_problems_to_people_by_place(tmp_path):
    (tmp_path / "bad.yaml").write_text(BAD)
    ran = await loom(tmp_path, "validate", "bad.yaml", environ={"COLUMNS": "300"})
    assert ran.code == 2
    assert "bad.yaml:2:32: extract.batchsize: found the unknown key 'batchsize'" in ran.out


async def test_validate_looks_at_source_destination_and_credentials(tmp_path):
    (tmp_path / "p.yaml").write_text(
        "name: p\nextract: {source: absent.csv, options: {delimitr: ';'}}\ntransform: {type: passthrough}\n"
        "load: {destination: 'out.csv'}\n"
    )
    ran = await loom(tmp_path, "validate", "p.yaml", "--format", "json")
    checks = {check["check"]: check for check in ran.report[0]["checks"]}
    assert (ran.code, checks["source"]["ok"], checks["destination"]["ok"]) == (2, False, True)
    assert checks["source"]["detail"].startswith("p.yaml:2:41: extract.options.delimitr: found the unknown key")
    assert "exactly once" in checks["destination"]["detail"]
    (tmp_path / "p.yaml").write_text((tmp_path / "p.yaml").read_text().replace(", options: {delimitr: ';'}", ""))
    ran = await loom(tmp_path, "validate", "p.yaml", "--format", "json")
    assert "absent.csv" in {check["check"]: check for check in ran.report[0]["checks"]}["source"]["detail"]


@pytest.mark.parametrize("name", ["pipeline-llm.yaml", "pipeline-examples.yaml"])
async def test_the_example_with_a_model_needs_its_credentials_and_nothing_else(tmp_path, name):
    path = str(EXAMPLE / name)
    ran = await loom(tmp_path, "validate", path, "--format", "json")
    assert ran.code == 2
    (failed,) = [check for check in ran.report[0]["checks"] if not check["ok"]]
    assert (failed["check"], "openai asks for a key" in failed["detail"]) == ("credentials", True)
    for environ in ({"OPENAI_API_KEY": "hush"}, {"OPENAI_BASE_URL": "http://127.0.0.1:20001/v1"}):
        ran = await loom(tmp_path, "validate", path, environ=environ)
        assert (ran.code, "hush" in ran.out + ran.err) == (0, False)


@pytest.mark.parametrize("template", ["basic", "rag", "sentiment"])
async def test_a_template_validates_and_runs_as_it_is(tmp_path, template):
    assert (await loom(tmp_path, "init", "mine", "--template", template)).code == 0
    assert (await loom(tmp_path, "validate", "mine/pipeline.yaml")).code == 0
    ran = await loom(tmp_path, "run", "mine", "--format", "json")
    records = ran.report["records"]
    assert (ran.code, ran.report["pipeline"]) == (0, "mine")
    assert records["loaded"] > 0
    assert records["rejected"] > 0


async def test_init_makes_a_project_that_keeps_its_state_whatever_folder_a_command_is_called_in(tmp_path):
    told = await loom(tmp_path, "init", "mine")
    assert "cd mine\n  loom validate pipeline.yaml\n  loom run pipeline.yaml" in told.err
    project_folder = tmp_path / "mine"
    for name in ("loom.yaml", ".gitignore", ".env.example", "README.md", "pipeline.yaml"):
        assert (project_folder / name).is_file(), name
    assert "loom run mine " in (project_folder / "README.md").read_text()
    ran = await loom(project_folder / "data", "run", "mine", "--format", "json")
    assert ran.code == 0
    run_id = ran.report["run_id"]
    from_outside = await loom(tmp_path, "run", "mine/pipeline.yaml")
    assert (tmp_path / ".loom").exists() is False
    assert "loom status run_" in from_outside.out
    assert " --config mine/loom.yaml" in from_outside.out
    listed = await loom(tmp_path, "history", "--config", "mine/loom.yaml", "--format", "json")
    assert [each["run_id"] for each in listed.report][-1] == run_id
    assert len(listed.report) == 2


async def test_init_in_a_project_adds_a_pipeline_and_makes_no_second_root(tmp_path):
    await loom(tmp_path, "init", "mine")
    told = await loom(tmp_path / "mine", "init", "pipelines/other", "--template", "sentiment")
    assert "loom run pipelines/other/pipeline.yaml" in told.err
    assert not (tmp_path / "mine/pipelines/other/loom.yaml").exists()
    listed = await loom(tmp_path / "mine/pipelines", "list", "--format", "json")
    assert {each["name"] for each in listed.report} == {"mine", "other"}


async def test_a_template_of_two_connectors_validates_and_runs_as_it_is(tmp_path):
    assert (await loom(tmp_path, "init", "mine", "--template", "csv_to_sqlite")).code == 0
    assert (await loom(tmp_path, "validate", "mine/pipeline.yaml")).code == 0
    assert (await loom(tmp_path, "run", "mine", "--format", "json")).report["records"]["loaded"] == 3


async def test_init_refuses_to_overwrite_and_names_no_pipeline_badly(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("keep")
    ran = await loom(tmp_path, "init", "mine")
    assert (ran.code, "not empty" in ran.err) == (2, True)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]
    ran = await loom(tmp_path, "init", "Mine!")
    assert (ran.code, "lower case" in ran.err) == (2, True)
    assert not (tmp_path / "Mine!").exists()


async def test_the_model_variant_of_the_rag_template_validates(tmp_path):
    await loom(tmp_path, "init", "mine", "--template", "rag")
    path = tmp_path / "mine/pipeline.yaml"
    text = path.read_text()
    shown = text[text.index("# transform:") : text.index("evaluate:")].replace("# ", "")
    path.write_text(text[: text.index("transform:")] + shown + text[text.index("evaluate:") :])
    environ = {"OPENAI_BASE_URL": "http://127.0.0.1:20001/v1", "OPENAI_API_KEY": "hush"}
    ran = await loom(tmp_path, "validate", "mine/pipeline.yaml", "--format", "json", environ=environ)
    assert (ran.code, json.dumps(ran.report[0]["problems"])) == (0, "[]")
    assert ran.report[0]["summary"].startswith("mine 1.0.0: ai gpt-4o-mini")


async def test_an_estimate_without_a_known_price_says_so_and_stays_one_document(tmp_path):
    project(tmp_path, 3, transform=ai("http://127.0.0.1:9/v1", model="small-of-ours"))
    told = await loom(tmp_path, "cost", "pipeline.yaml", "--estimate", "--format", "json")
    assert (told.code, told.report["cost"]["total"]) == (0, 0.0)
    shown = await loom(tmp_path, "cost", "pipeline.yaml", "--estimate")
    assert "no price is known for small-of-ours: its calls count as $0" in shown.words


def test_what_a_template_writes_of_files_that_are_no_text_runs_at_once(loom):
    for name in ("excel_to_parquet", "parquet_to_arrow", "arrow_to_duckdb", "duckdb_to_sqlite"):
        assert loom("init", name, "--template", name).code == 0
        done = loom("run", f"{name}/pipeline.yaml", "--format", "json")
        assert (done.code, done.report["records"]["loaded"]) == (0, 3)


@pytest.mark.parametrize("options", [(), ("--connect",)])
async def test_no_line_of_validate_ends_with_blanks_in_a_pipe(tmp_path, options):
    (tmp_path / "in.csv").write_text("id,text\n1,a\n")
    (tmp_path / "p.yaml").write_text(
        "name: p\nextract: {source: in.csv, key: id}\ntransform: {type: passthrough}\nload: {destination: out.csv}\n"
    )
    ran = await loom(tmp_path, "validate", "p.yaml", *options)
    assert ran.code == 0, ran.err
    assert len(ran.out.splitlines()) > 4
    assert [line for line in ran.out.splitlines() if line != line.rstrip()] == []
