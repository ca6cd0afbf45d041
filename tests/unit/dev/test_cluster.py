import configparser
import shlex
import signal

import pytest

from loom_dev.backends.program import Program
from loom_dev.cluster.place import ClusterFolder
from loom_dev.cluster.services import SERVICES, replicas
from loom_dev.cluster.supervision import configuration, section
from loom_dev.errors import SetupError


@pytest.mark.parametrize(
    ("given", "running", "transformers"),
    [({}, {}, 1), ({"TRANSFORMERS": "3"}, {}, 3), ({"TRANSFORMERS": ""}, {"transformer": 3}, 3),
     ({"TRANSFORMERS": "2"}, {"transformer": 3}, 2)],
)  # fmt: skip
def test_as_many_replicas_run_as_are_asked_for_else_as_ran_before_else_one(given, running, transformers):
    assert replicas(given, running) == {service.name: 1 for service in SERVICES} | {"transformer": transformers}


def test_the_coordinator_is_one():
    assert replicas({"COORDINATORS": "3"}, {})["coordinator"] == 1


@pytest.mark.parametrize("text", ["0", "-1", "many", "65"])
def test_a_number_of_replicas_that_makes_no_sense_is_named(text):
    with pytest.raises(SetupError, match=f"LOADERS={text}: expected a number"):
        replicas({"LOADERS": text}, {})


def test_the_supervisor_is_told_the_programs_very_words(tmp_path):
    program = Program("db", ("run", "a b", "100%"), {"URL": "amqp://host/%2F"}, tmp_path, stop_signal=signal.SIGINT)
    parser = configparser.RawConfigParser()

    parser.read_string(section(program, tmp_path, copies=2, autostart=False, priority=5))

    told = parser["program:db"]
    assert shlex.split(told["command"].replace("%%", "%")) == [
        "setpriv", "--pdeathsig", "INT", "--", "run", "a b", "100%",
    ]  # fmt: skip
    assert told["environment"].replace("%%", "%") == 'URL="amqp://host/%2F"'
    assert (told["stopsignal"], told["numprocs"], told["autostart"]) == ("INT", "2", "false")


def test_two_projects_have_two_places(tmp_path):
    one, other = ClusterFolder(tmp_path / "one"), ClusterFolder(tmp_path / "other")

    assert one.outside != other.outside
    assert f"file={one.outside}/supervisor.sock" in configuration(one, [])
