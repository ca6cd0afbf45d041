import pytest

from loom_dev.requirements import BUILD, dependencies, unmet

LOCK = "orjson==3.10.1 \\\n    --hash=sha256:00\nruamel-yaml==0.18.2\nuvloop==0.21.0 ; sys_platform != 'win32'\n"


@pytest.mark.parametrize(
    ("needed", "missing"),
    [
        ("orjson>=3.10", False),
        ("orjson>=3.11", True),
        ("ruamel.yaml>=0.18", False),
        ("uvloop>=0.21; sys_platform != 'win32'", False),
        ("sqlalchemy[asyncio]>=2", True),
    ],
)
def test_a_requirement_is_met_by_a_pin_it_accepts(needed, missing):
    assert unmet([needed], LOCK) == ([needed] if missing else [])


def test_packages_of_this_workspace_are_not_requirements(tmp_path):
    (tmp_path / "pyproject.toml").write_text('[project]\ndependencies = ["loom-common", "orjson>=3.10"]\n')

    assert dependencies([str(tmp_path)]) == sorted([*BUILD, "orjson>=3.10"])
