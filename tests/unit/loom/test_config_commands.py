"""Tests `loom config`: make, show, check, change."""

import json

from loom.project.config import LoomConfig


def test_init_writes_a_file_that_means_the_defaults(loom, tmp_path):
    assert loom("config", "init")[0] == 0
    assert LoomConfig.load().model_dump() == LoomConfig().model_dump()
    assert loom("config", "validate")[0] == 0


def test_init_does_not_overwrite(loom, tmp_path):
    (tmp_path / "loom.yaml").write_text("mode: embedded\n")
    code, _, err = loom("config", "init")
    assert (code, err.count("error:")) == (2, 1)
    assert (tmp_path / "loom.yaml").read_text() == "mode: embedded\n"


def test_set_keeps_comments_and_everything_else(loom, tmp_path):
    (tmp_path / "loom.yaml").write_text("# mine\nmode: embedded  # here\ncache:\n  enabled: true  # reuse\n")
    assert loom("config", "set", "cache.ttl_days", "7")[0] == 0
    assert loom("config", "set", "cache.enabled", "false")[0] == 0
    assert (tmp_path / "loom.yaml").read_text() == (
        "# mine\nmode: embedded  # here\ncache:\n  enabled: false # reuse\n  ttl_days: 7\n"
    )


def test_set_makes_the_file_and_adds_to_one_of_comments_alone(loom, tmp_path):
    loom("config", "set", "log.level", "debug")
    assert (tmp_path / "loom.yaml").read_text() == "log:\n  level: debug\n"
    (tmp_path / "loom.yaml").write_text("# only words\n")
    loom("config", "set", "pipelines", "[jobs]")
    assert (tmp_path / "loom.yaml").read_text() == "# only words\npipelines: [jobs]\n"


def test_a_setting_after_init_is_in_force(loom):
    loom("config", "init")
    assert loom("config", "set", "defaults.batch_size", "50")[0] == 0
    assert LoomConfig.load().defaults.batch_size == 50


def test_a_mistake_changes_nothing(loom, tmp_path):
    (tmp_path / "loom.yaml").write_text("mode: embedded\n")
    code, out, err = loom("config", "set", "mode", "embeded")
    assert (code, out) == (2, "")
    assert err == (
        "error: loom.yaml:1:1: mode: found 'embeded'; expected one of embedded, distributed. Did you mean 'embedded'?\n"
    )
    assert (tmp_path / "loom.yaml").read_text() == "mode: embedded\n"
    code, _, err = loom("config", "set", "mode.x", "1")
    assert (code, "mode is a value, not a section" in err) == (2, True)


def test_show_tells_values_and_origins_and_no_secret(loom, tmp_path, monkeypatch):
    (tmp_path / "loom.yaml").write_text("mode: distributed\n")
    monkeypatch.setenv("LOOM_BUS_URL", "amqp://me:hush@h/")
    code, out, _ = loom("config", "show")
    lines = {line.split()[0]: line.split() for line in out.splitlines()}
    assert code == 0
    assert lines["mode"] == ["mode", "distributed", "loom.yaml"]
    assert lines["log.level"] == ["log.level", "error", "default"]
    assert lines["LOOM_BUS_URL"][-1] == "environment"
    assert "hush" not in out
    code, out, _ = loom("config", "show", "--format", "json")
    assert json.loads(out)["settings"]["mode"] == "distributed"
    assert "hush" not in out


def test_validate_tells_every_mistake_and_a_missing_credential(loom, tmp_path):
    (tmp_path / "loom.yaml").write_text("mode: x\nlog: {level: y}\n")
    code, _, err = loom("config", "validate")
    assert (code, err.splitlines()[0], len(err.splitlines())) == (2, "error: 2 mistakes", 3)
    code, out, err = loom("config", "validate", "--format", "json")
    assert code == 2
    assert json.loads(out)["valid"] is False
    assert len(json.loads(out)["problems"]) == 2
    assert err == ""
    (tmp_path / "loom.yaml").write_text("storage: {type: postgres, url: 'postgresql://u:${NO_SUCH_PASSWORD}@h/d'}\n")
    code, _, err = loom("config", "validate")
    assert (code, "NO_SUCH_PASSWORD" in err) == (2, True)


def test_set_follows_a_link_and_keeps_the_permissions_of_the_file(loom, tmp_path):
    (tmp_path / "shared.yaml").write_text("mode: embedded\n")
    (tmp_path / "shared.yaml").chmod(0o600)
    (tmp_path / "loom.yaml").symlink_to("shared.yaml")
    assert loom("config", "set", "log.level", "debug")[0] == 0
    assert (tmp_path / "loom.yaml").is_symlink()
    assert (tmp_path / "shared.yaml").read_text() == "mode: embedded\nlog:\n  level: debug\n"
    assert (tmp_path / "shared.yaml").stat().st_mode & 0o777 == 0o600
