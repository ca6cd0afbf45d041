"""Tests `loom.yaml`, and what it makes of the settings of the services."""

from pathlib import Path

import pytest

from loom.project.config import LoomConfig
from loom.project.yaml_positions import Document
from loom_common.errors import ConfigurationError, InvalidDefinition, MissingCredential


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Provide a working directory without LOOM_* in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in (
        "BUS_URL",
        "STATE_URL",
        "JOURNAL_URL",
        "PAYLOADS_URL",
        "LOG_LEVEL",
        "PROJECT_DIR",
        "CREDENTIAL_PREFIX",
    ):
        monkeypatch.delenv(f"LOOM_{name}", raising=False)
    return tmp_path


def configured(project, text):
    (project / "loom.yaml").write_text(text)
    return LoomConfig.load()


def test_without_a_file_everything_lies_below_the_working_directory(project):
    config = LoomConfig.load()
    settings = config.settings()
    assert (config.file, config.project, settings.project_dir) == (None, project, project)
    assert settings.bus.url.get_secret_value() == "memory://"
    assert settings.state.url.get_secret_value() == f"sqlite:///{project}/.loom/loom.db"
    assert settings.journal.url.get_secret_value() == f"sqlite:///{project}/.loom/journal.db"
    assert settings.payloads.url.get_secret_value() == f"file:{project}/.loom/payloads"


def test_the_file_of_a_folder_above_is_found_and_its_folder_is_the_project(project, monkeypatch):
    (project / "loom.yaml").write_text("log: {level: debug}\n")
    (project / "a/b").mkdir(parents=True)
    monkeypatch.chdir(project / "a/b")
    config = LoomConfig.load()
    assert (config.project, config.settings().log.level) == (project, "debug")


def test_the_environment_outweighs_the_file(project, monkeypatch):
    monkeypatch.setenv("LOOM_STATE_URL", "sqlite:////elsewhere.db")
    monkeypatch.setenv("LOOM_LOG_LEVEL", "error")
    settings = configured(project, "storage: {path: here.db}\nlog: {level: debug}\n").settings()
    assert settings.state.url.get_secret_value() == "sqlite:////elsewhere.db"
    assert settings.log.level == "error"


def test_references_are_expanded_only_in_the_settings(project, monkeypatch):
    monkeypatch.setenv("DB_PASSWORD", "p@ss")
    config = configured(project, "storage: {type: postgres, url: 'postgresql://u:${DB_PASSWORD}@h/db'}\n")
    assert config.storage.url == "postgresql://u:${DB_PASSWORD}@h/db"
    assert config.settings().state.url.get_secret_value() == "postgresql://u:p%40ss@h/db"
    monkeypatch.delenv("DB_PASSWORD")
    with pytest.raises(MissingCredential):
        config.settings()


def test_every_mistake_is_told_with_its_place(project):
    text = "mode: embeded\ncahce: {}\nstorage:\n  type: postgres\ncache: {backend: redis, urll: x}\n"
    with pytest.raises(InvalidDefinition) as caught:
        configured(project, text)
    told = [str(problem) for problem in caught.value.problems]
    of_cache = "backend, enabled, ttl_days, url"
    known = "access, allowed_paths, bus, cache, credentials, default_target, defaults, encryption, engine, log"
    known = f"{known}, mode, openlineage, pipelines, prices, providers, storage, targets"
    assert told == [
        "loom.yaml:1:1: mode: found 'embeded'; expected one of embedded, distributed. Did you mean 'embedded'?",
        f"loom.yaml:2:1: cahce: found the unknown key 'cahce'; expected one of {known}. Did you mean 'cache'?",
        "loom.yaml:3:1: storage: found the settings given; expected `url`, which postgres needs.",
        "loom.yaml:5:1: cache: found the settings given; expected `url`, which redis needs.",
        f"loom.yaml:5:25: cache.urll: found the unknown key 'urll'; expected one of {of_cache}. Did you mean 'url'?",
    ]


def test_a_password_in_clear_is_refused_and_not_repeated(project):
    with pytest.raises(InvalidDefinition) as caught:
        configured(project, "bus: {url: 'amqp://u:hush@h/'}\n")
    assert "found a secret in clear" in str(caught.value)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "mode: distributed\nbus: {url: 'redis://h'}\n",
            "loom.yaml:2:7: bus.url: found an address that cannot be used; ",
        ),
        (
            "storage: {type: postgres, url: 'postgres://h:x/db'}\n",
            "loom.yaml:1:27: storage.url: found an address that ",
        ),
        (
            "cache: {backend: redis, url: 'redis://h:x'}\n",
            "loom.yaml:1:25: cache.url: found an address that cannot be ",
        ),
    ],
)
def test_an_address_that_cannot_be_used_is_told_with_its_key_unless_the_environment_has_it(
    project, monkeypatch, text, told
):
    config = configured(project, text)
    with pytest.raises(InvalidDefinition) as caught:
        config.settings()
    assert str(caught.value).startswith(told)
    for name in ("BUS", "STATE", "JOURNAL"):
        monkeypatch.setenv(f"LOOM_{name}_URL", "no address")
    with pytest.raises(ConfigurationError, match=r"^The environment has a setting that cannot be used: LOOM_"):
        config.settings()


def test_an_address_that_make_up_left_is_none_of_the_file(project):
    (project / ".loom/cluster").mkdir(parents=True)
    (project / ".loom/cluster/env").write_text("LOOM_BUS_URL=left://\n")
    with pytest.raises(ConfigurationError, match=r"^The environment has a setting that cannot be used: LOOM_BUS_URL"):
        configured(project, "mode: distributed\n").settings()


def test_a_file_of_comments_alone_is_the_defaults(project):
    assert configured(project, "# nothing yet\n").mode == "embedded"


def test_without_an_address_a_cluster_is_explained(project):
    with pytest.raises(ConfigurationError, match=r"make up.*LOOM_BUS_URL"):
        LoomConfig.load().for_cluster().settings()


def test_what_make_up_left_is_used_for_the_cluster_only(project):
    (project / ".loom/cluster").mkdir(parents=True)
    (project / ".loom/cluster/env").write_text(
        "# started by make up\nexport LOOM_BUS_URL='amqp://localhost:5/'\nLOOM_STATE_URL=postgresql://h/db\n"
    )
    config = LoomConfig.load()
    assert config.settings().bus.url.get_secret_value() == "memory://"
    settings = config.for_cluster().settings()
    assert settings.bus.url.get_secret_value() == "amqp://localhost:5/"
    assert settings.state.url.get_secret_value() == "postgresql://h/db"


def test_a_configured_broker_outweighs_what_make_up_left(project):
    (project / ".loom/cluster").mkdir(parents=True)
    (project / ".loom/cluster/env").write_text("LOOM_BUS_URL=amqp://left/\n")
    settings = configured(project, "mode: distributed\nbus: {url: 'amqp://own/'}\n").settings()
    assert settings.bus.url.get_secret_value() == "amqp://own/"


def test_a_wrong_variable_is_a_mistake_not_a_crash(project, monkeypatch):
    monkeypatch.setenv("LOOM_LOG_LEVEL", "loud")
    with pytest.raises(ConfigurationError, match="LOOM_"):
        LoomConfig.load().settings()


def test_a_pipelines_base_is_its_folder_below_the_project(project):
    config = LoomConfig.load()
    (project / "a/b").mkdir(parents=True)
    assert config.base_of(project) == ""
    assert config.base_of(Path("a/b")) == "a/b"
    assert config.base_of(Path("/elsewhere")) == "/elsewhere"


def test_defaults_fill_only_what_is_silent(project):
    config = configured(project, "defaults: {batch_size: 5, quality_gate: {type: weighted, threshold: 0.5}}\n")
    filled = config.applied_to(
        Document("", {"extract": {"source": "x", "batch_size": 9}, "evaluate": {"evaluators": []}}, {})
    ).data
    assert filled["extract"]["batch_size"] == 9
    assert filled["evaluate"]["quality_gate"] == {"type": "weighted", "threshold": 0.5}
    assert "evaluate" not in config.applied_to(Document("", {"extract": {"source": "x"}}, {})).data


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("LOOM_WORKER_PREFETCH", "-1", "LOOM_WORKER_PREFETCH, expected at least 1."),
        ("LOOM_WORKER_PREFETCH", "many", "LOOM_WORKER_PREFETCH, expected a whole number."),
        ("LOOM_LOG_LEVEL", "loud", "LOOM_LOG_LEVEL, expected 'debug', 'info', 'warning' or 'error'."),
    ],
)
def test_a_variable_that_cannot_be_used_is_told_by_its_own_name(monkeypatch, variable, value, words):
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError, match=r"^The environment has a setting that cannot be used: ") as told:
        LoomConfig().settings()
    assert str(told.value).endswith(words)
