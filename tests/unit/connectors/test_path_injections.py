"""Tries paths that lead out of the project: as sources, destinations, folders of runs, modules, prompts and secrets,
and in SQL. None may be read or written."""

from __future__ import annotations

import itertools
import os
import sqlite3
import ssl

import pytest

from loom.project.definition_file import load
from loom_common.config.credentials import Credentials
from loom_common.config.secrets.environment import EnvProvider
from loom_common.config.secrets.mounted_files import FileProvider
from loom_common.config.settings import BusSettings, Settings
from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.definition.load import LoadConfig
from loom_common.domain.run.plan import Plan
from loom_common.errors import InvalidDefinition, MissingCredential, PathNotAllowed, PermanentError, SourceError
from loom_common.user_code.plan_paths import see_that_it_stays
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.registry import open_destination, open_source
from loom_connectors.server_urls import held_files
from support.load_batches import batch
from support.plans import plan_of

_WAYS = (
    "../outside/",
    "data/../../outside/",
    "./.././outside/",
    "data//..//..//outside/",
    "{outside}/",
    "//{outside}/",
    "{project}/../outside/",
    "link/",
    "data/up/../outside/",
    "~/",
)
"""Holds ways from the project's folder into another one. `link` and `data/up` are links."""
_PLACES = (
    "{way}secret.csv",
    "{way}*/../s[e]cret.csv",
    "{way}new.jsonl",
    "sqlite:///{way}secret.db?table=t",
    "duckdb:///{way}secret.duckdb?table=t",
)
PATHS = ["".join(place.replace("{way}", way)) for place, way in itertools.product(_PLACES, _WAYS)]
"""Holds 50 locations of files outside of the project."""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Provide a project, beside which lies a folder with secrets."""
    project, outside = tmp_path / "project", tmp_path / "outside"
    for folder in (project / "data", outside / "deep", tmp_path / "project-2"):
        folder.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(outside))
    (project / "link").symlink_to(outside)
    (project / "data/up").symlink_to("..")
    (project / "data/a.csv").write_text("id\n1\n")
    (outside / "secret.csv").write_text("id\nhush\n")
    (outside / "evil.py").write_text("raise SystemExit('it was imported')")
    with sqlite3.connect(outside / "secret.db") as db:
        db.execute("CREATE TABLE t AS SELECT 'hush' AS id")
    db.close()
    (outside / "secret.duckdb").write_bytes(b"hush")
    before = _contents(outside)
    yield project
    assert _contents(outside) == before


def _contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def context(project, **environ):
    return ConnectorContext(project, Credentials({"env": EnvProvider(environ)}))


async def first(config, context):
    source = open_source(config, context)
    try:
        return [dict(record.data) for record in (await source.read(None, 10)).records]
    finally:
        await source.close()


async def loaded(config, context):
    destination = open_destination(config, context)
    try:
        return await destination.load(batch({"id": "new"}))
    finally:
        await destination.close()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("written", ["{}", "${{PLACE}}"])
async def test_no_location_leads_out_of_the_project(project, path, written):
    assert len(set(PATHS)) == 50
    place = path.format(project=project, outside=project.parent / "outside")
    around = context(project, PLACE=place)
    with pytest.raises(PathNotAllowed, match=r"outside of the project .*project"):
        await first(ExtractConfig(source=written.format(place)), around)
    with pytest.raises(PathNotAllowed, match="--allow-path"):
        await loaded(LoadConfig(destination=written.format(place)), around)


async def test_what_a_pattern_matches_is_held_too(project):
    (project / "data/b.csv").symlink_to(project.parent / "outside/secret.csv")
    with pytest.raises(PathNotAllowed, match=r"data/b\.csv on .* leads to .*outside/secret\.csv"):
        await first(ExtractConfig(source="data/*.csv"), context(project))
    with pytest.raises(PathNotAllowed):
        await first(ExtractConfig(source="*/secret.csv"), context(project))


async def test_a_file_that_becomes_a_link_later_is_not_read_or_written(project):
    source = open_source(ExtractConfig(source="data/a.csv"), context(project))
    destination = open_destination(LoadConfig(destination="out/new.csv"), context(project))
    (project / "data/a.csv").unlink()
    (project / "data/a.csv").symlink_to(project.parent / "outside/secret.csv")
    (project / "out").symlink_to(project.parent / "outside")
    with pytest.raises(PathNotAllowed):
        await source.read(None, 10)
    with pytest.raises(PathNotAllowed):
        await destination.load(batch({"id": "new"}))


async def test_links_within_the_project_are_followed(project):
    (project / "data/b.csv").symlink_to("a.csv")
    assert await first(ExtractConfig(source="data/up/data/b.csv"), context(project)) == [{"id": "1"}]


async def test_no_parameter_and_no_value_of_a_record_becomes_part_of_a_path(project):
    attack = "../../outside/secret"
    around = ConnectorContext(project, Credentials({}), params={"day": attack})
    with pytest.raises(SourceError, match=r"data/\{\{ day \}\}\.csv"):
        await first(ExtractConfig(source="data/{{ day }}.csv"), around)
    destination = open_destination(LoadConfig(destination="out/{{ day }}.csv"), around)
    await destination.load(batch({"day": attack}))
    await destination.close()
    assert [path.name for path in (project / "out").iterdir()] == ["{{ day }}.csv.loom"]


async def test_a_folder_that_is_allowed_is_reached(project):
    outside = project.parent / "outside"
    around = ConnectorContext(project, Credentials({}), allowed=(project, outside))
    assert await first(ExtractConfig(source=str(outside / "secret.csv")), around) == [{"id": "hush"}]
    with pytest.raises(PathNotAllowed):
        await first(ExtractConfig(source="../project-2/a.csv"), around)


FILES_OF_URLS = (
    "postgres://me@h/d?table=t&sslrootcert={}",
    "postgres://me@h/d?table=t&passfile={}",
    "mysql://me@h/d?table=t&ssl_key={}",
    "mssql://me:@h/d?table=t&ca={}",
    "snowflake://me@account/d?table=t&private_key_file={}",
    "bigquery://project/d?table=t&credentials_file={}",
    "amqps://h/?queue=q&ssl_cert={}",
    "rediss://h/0?stream=s&ssl_cert={}",
    "kafkas://h/t?ssl_ca={}",
    "gs://bucket/a.csv?service_account={}",
)


@pytest.mark.parametrize("url", FILES_OF_URLS)
@pytest.mark.parametrize("way", _WAYS)
async def test_no_file_that_a_url_names_lies_out_of_the_project(project, url, way):
    path = way.format(project=project, outside=project.parent / "outside") + "secret.csv"
    for written, environ in ((url.format(path), {}), ("${PLACE}", {"PLACE": url.format(path)})):
        with pytest.raises(PathNotAllowed, match="--allow-path"):
            open_source(ExtractConfig(source=written, key="id" if "table" in url else []), context(project, **environ))


@pytest.mark.parametrize("url", FILES_OF_URLS[:-1])  # the last is read at once
async def test_a_file_that_a_url_names_lies_in_the_project_or_among_secrets_and_trusted_certificates(project, url):
    (project / "mounted").symlink_to("data")
    trusted = ssl.get_default_verify_paths().openssl_capath
    for path in ("mounted/a.csv", "/run/secrets/key.pem", f"{trusted}/ca-certificates.crt"):
        config = ExtractConfig(source=url.format(path), key="id" if "table" in url else [])
        await open_source(config, context(project)).close()


async def test_a_file_that_a_url_names_starts_at_the_folder_of_the_pipeline(project):
    settings = {"ssl_ca": "mounted/ca.pem", "ssl_disabled": "true"}
    (project / "mounted").symlink_to("data")  # as secrets are mounted, so that they can be exchanged at once
    held = held_files(settings, ("ssl_ca", "ssl_key"), context(project))
    assert held == {"ssl_ca": f"{project}/mounted/ca.pem", "ssl_disabled": "true"}


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM read_csv('{outside}/secret.csv')",
        "SELECT * FROM '{project}/link/secret.csv'",
        "SELECT content FROM read_text('{outside}/*')",
        "SELECT * FROM glob('/etc/*')",
    ],
)
async def test_no_query_of_duckdb_reads_another_file(project, query):
    await loaded(LoadConfig(destination="duckdb:///own.duckdb?table=t"), context(project))
    text = query.format(project=project, outside=project.parent / "outside")
    with pytest.raises(PermanentError, match="disabled by configuration"):
        await first(ExtractConfig(source="duckdb:///own.duckdb", query=text, key="id"), context(project))
    own = f"SELECT * FROM read_csv('{project}/data/a.csv')"
    assert await first(ExtractConfig(source="duckdb:///own.duckdb", query=own, key="id"), context(project)) == [
        {"id": 1}
    ]


async def test_no_query_of_sqlite_attaches_another_file(project):
    await loaded(LoadConfig(destination="sqlite:///own.db?table=t"), context(project))
    attached = f"ATTACH DATABASE '{project.parent}/outside/secret.db' AS other"
    with pytest.raises(PermanentError):
        await first(ExtractConfig(source="sqlite:///own.db", query=attached, key="id"), context(project))


@pytest.mark.parametrize("base", ["../outside", "/etc", "link", "data/up/..", "a/../..", "../project-2", "\0"])
def test_no_message_gives_a_worker_of_a_cluster_another_folder(project, base):
    settings = Settings(project_dir=project, bus=BusSettings(url="amqp://broker/"))
    with pytest.raises(PathNotAllowed):
        see_that_it_stays(_plan("helpers:f", base), settings)
    see_that_it_stays(_plan("helpers:f", "data"), settings)


@pytest.mark.parametrize("embedded", [True, False])
def test_no_module_is_a_link_to_another_place(project, embedded):
    (project / "helpers.py").symlink_to(project.parent / "outside/evil.py")
    bus = "memory://" if embedded else "amqp://broker/"
    with pytest.raises(PathNotAllowed, match=r"evil\.py"):
        see_that_it_stays(_plan("helpers:f", ""), Settings(project_dir=project, bus=BusSettings(url=bus)))


@pytest.mark.parametrize("embedded", [True, False])
@pytest.mark.parametrize("file", ["../outside/m.onnx", "/etc/m.onnx", "linked.onnx", "data/../../outside/m.onnx"])
def test_no_model_of_a_scorer_is_a_file_elsewhere(project, file, embedded):
    (project / "linked.onnx").symlink_to(project.parent / "outside/m.onnx")
    settings = Settings(project_dir=project, bus=BusSettings(url="memory://" if embedded else "amqp://broker/"))
    cheap = {"type": "ai", "model": "m", "prompt": "?", "output": {"label": "string"}}
    scorer = {"scorer": file, "field": "x"}
    alone = {"type": "scorer", **scorer}
    for transform in (alone, {"steps": [{"name": "one", **alone}]}, {**cheap, "cascade": {"cheap": scorer}}):
        with pytest.raises(PathNotAllowed):
            see_that_it_stays(plan_of(transform), settings)
    see_that_it_stays(plan_of({"type": "scorer", "scorer": "data/m.onnx", "field": "x"}), settings)


def _plan(function, base):
    definition = {
        "name": "p",
        "extract": {"source": "data/a.csv"},
        "transform": {"type": "python", "function": function},
        "load": {"destination": "out.csv"},
    }
    return Plan.model_validate({"pipeline": definition, "base": base})


@pytest.mark.parametrize(
    "transform",
    [
        "{type: ai, model: m, prompt: ../outside/secret.csv}",
        "{type: ai, model: m, prompt: link/secret.csv}",
        "{type: ai, model: m, prompt: 'x', context: [link/secret.csv]}",
        "{type: ai, model: m, prompt: 'x', context: [/etc/passwd]}",
        "{type: python, function: '../outside/evil:f'}",
        "{type: python, function: '.evil:f'}",
        "{type: python, function: 'helpers:f'}",
    ],
)
def test_what_a_file_names_is_held_where_it_is_read(project, transform):
    (project / "helpers.py").symlink_to(project.parent / "outside/evil.py")
    file = project / "p.yaml"
    file.write_text(f"name: p\nextract: {{source: data/a.csv}}\ntransform: {transform}\nload: {{destination: o.csv}}\n")
    with pytest.raises(InvalidDefinition) as refused:
        load(file)
    assert {problem.line for problem in refused.value.problems} == {3}
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize("name", ["../outside/secret.csv", "/etc/passwd", "link/secret.csv", "~/secret.csv"])
def test_no_secret_is_read_outside(project, name):
    credentials = Credentials.of_project(project)
    with pytest.raises(MissingCredential):
        credentials.expand("${file:" + name + "}")


def test_mounted_secrets_and_those_of_the_project_are_read(project):
    (project / "key").write_text("abc\n")
    assert Credentials.of_project(project).expand("${file:key}") == "abc"
    assert FileProvider(project).get("/run/secrets/none-of-that-name") is None
    outside = project.parent / "outside"
    allowed = Credentials.of_project(project, allowed=(outside,))
    assert allowed.expand("${file:" + str(outside / "secret.csv") + "}") == "id\nhush"


def test_the_setting_of_a_worker_is_a_list_of_folders(monkeypatch, tmp_path):
    monkeypatch.setenv("LOOM_ALLOWED_PATHS", f"{tmp_path}{os.pathsep}/mnt/shared")
    assert [str(each) for each in Settings().allowed[1:]] == [str(tmp_path), "/mnt/shared"]
