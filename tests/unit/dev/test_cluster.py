import configparser
import shlex
import signal

import pytest

from loom_dev.backends.program import Program
from loom_dev.cluster.place import Place
from loom_dev.cluster.services import SERVICES, replicas
from loom_dev.cluster.supervision import configuration, section
from loom_dev.errors import SetupError


def test_each_service_runs_once_unless_more_are_wanted():
    assert replicas({"TRANSFORMERS": "3"}) == {service.name: 1 for service in SERVICES} | {"transformer": 3}


@pytest.mark.parametrize("text", ["0", "-1", "many", "", "65"])
def test_a_number_of_replicas_that_makes_no_sense_is_named(text):
    with pytest.raises(SetupError, match=f"LOADERS={text}: expected a number"):
        replicas({"LOADERS": text})


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
    one, other = Place(tmp_path / "one"), Place(tmp_path / "other")

    assert one.outside != other.outside
    assert f"file={one.outside}/supervisor.sock" in configuration(one, [])
