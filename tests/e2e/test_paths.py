"""Tests that paths of a pipeline stay in its project, whoever asks for the run, unless they are allowed."""

from __future__ import annotations

import pytest

from loom.project.config import LoomConfig
from loom.session import open_session
from loom_common.contracts.v1 import RunRequest
from support.clients import ended

PIPELINE = """\
name: copied
params: {day: {type: string, default: one}}
extract: {source: "%s"}
transform: {type: passthrough}
load: {destination: "%s"}
"""


@pytest.fixture
def outside(tmp_path, tmp_path_factory):
    """Provide a folder beside the project, which is `tmp_path`, with a file."""
    folder = tmp_path_factory.mktemp("outside")
    (folder / "secret.csv").write_text("id\nhush\n")
    yield folder
    assert [path.name for path in folder.iterdir()] == ["secret.csv"]


def test_a_run_leaves_the_project_only_where_it_is_allowed(loom, tmp_path, outside):
    (tmp_path / "pipeline.yaml").write_text(PIPELINE % (outside / "secret.csv", "out.csv"))
    for command in ("validate", "run"):
        refused = loom(command, "pipeline.yaml")
        assert refused.code == 2
        told = refused.out + refused.err
        assert f"{outside}/secret.csv on " in told
        assert "or allow its folder by `allowed_paths` in loom.yaml, by `--allow-path" in told
    assert loom("run", "pipeline.yaml", "--allow-path", str(outside)).code == 0
    assert (tmp_path / "out.csv").read_text() == "id\nhush\n"

    (tmp_path / "pipeline.yaml").write_text(PIPELINE % ("${PLACE}", "out/{{ day }}.csv"))
    (tmp_path / ".env").write_text(f"PLACE={outside}/secret.csv\n")
    assert loom("run", "pipeline.yaml", "--param", "day=../../escaped").code == 2
    (tmp_path / "loom.yaml").write_text(f"allowed_paths: ['{outside}']\n")
    assert loom("run", "pipeline.yaml", "--param", "day=../../escaped").code == 0
    assert not list(tmp_path.parent.glob("escaped*"))


def test_a_pipeline_elsewhere_has_its_own_folder(loom, tmp_path, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "in.csv").write_text("id\n1\n")
    (elsewhere / "pipeline.yaml").write_text(PIPELINE % ("in.csv", str(tmp_path / "here.csv")))
    assert loom("run", str(elsewhere / "pipeline.yaml")).code == 0
    assert (tmp_path / "here.csv").read_text() == "id\n1\n"


async def test_no_message_takes_a_cluster_out_of_its_project(cluster, outside):
    (cluster.project / "inside.csv").write_text("id\n1\n")

    def asked(source, destination, base=""):
        return RunRequest(
            definition={
                "name": "attack",
                "extract": {"source": source},
                "transform": {"type": "passthrough"},
                "load": {"destination": destination},
            },
            base=base,
        )

    attacks = [
        asked(str(outside / "secret.csv"), "out.csv"),
        asked("inside.csv", str(outside / "stolen.csv")),
        asked("secret.csv", "stolen.csv", base=str(outside)),
    ]
    async with open_session(LoomConfig.load(cluster.project / "loom.yaml"), cluster=True) as session:
        for attack in attacks:
            accepted = await session.start(attack)
            finished = await ended(session, accepted.run_id)
            assert finished.report.status == "failed"
            assert "outside of the project" in str(finished.report.error)
