"""A command imports what it uses. A package that takes long to import, and that a command does not need, is not loaded
by it."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import subprocess
import sys
from typing import NamedTuple

import pytest

CLIENTS = {"aio_pika", "aiohttp", "aiormq", "asyncpg", "boto3", "confluent_kafka", "genai_prices", "httptools", "httpx"}
CLIENTS |= {"redis", "yarl"}
"""Clients of servers that an embedded run over files does not have, and what they read addresses with."""
READERS = {"jinja2", "jsonschema", "pyarrow", "vaderSentiment"}
"""Packages that only some pipelines need."""
SERVING = {"fastapi", "loom_api", "starlette", "uvicorn"}
"""Packages of the REST API, which `loom serve` alone loads."""
RUNNING = {"loom_common.service.bootstrap", "loom_common.worker.worker", "loom_connectors.postgres"}
"""Modules that carry out runs."""
LOGGING = {"attr", "pygments", "rich.pretty", "rich.traceback", "structlog"}
"""Packages that write lines of logs, and what they import to draw tracebacks. Most commands have nothing to log."""
MESSAGES = {"loom_common.contracts.v1"}
"""Modules of what services tell each other."""
SENDING = {
    "loom_common.contracts.encoding",
    "loom_common.contracts.v1.beats",
    "loom_common.contracts.v1.commands",
    "loom_common.contracts.v1.batches",
    "loom_common.contracts.v1.facts",
    "loom_common.contracts.v1.kept",
    "loom_common.contracts.v1.work",
    "zstandard",
}
"""Modules of messages, and what encodes them. Who reads run state sends none."""
SETTINGS = {"dotenv", "loom_common.config.settings", "pydantic_settings"}
"""Modules that read the settings of services from the environment. Who begins no run needs none."""
MIGRATING = {"alembic", "sqlalchemy.dialects.postgresql"}
MAPPING = {"sqlalchemy.ext.asyncio", "sqlalchemy.orm"}
"""SQLAlchemy's object-relational mapper, and what imports it. Loom uses the rest of SQLAlchemy."""
STEPS = {"loom_common.domain.definition.transforms", "loom_common.domain.steps.graph"}
"""Modules of pipelines with several steps."""
ASKING = {"loom_ai.stage", "loom_evaluator.handling", "loom_transformer.handling"}
"""Modules that transform, score and ask models. No batch of a run that only moves records comes to them."""
EMOJI = {"rich._emoji_codes"}
"""The names of emoji, which stand in no text of Loom's."""
OTHER_QUERIES = {
    "loom_coordinator.queries.alerts",
    "loom_coordinator.queries.costs",
    "loom_coordinator.queries.lineage",
    "loom_quarantine.queries",
}
"""Modules that tell of anything but runs and pipelines."""
DEFINITIONS = {"loom_common.domain.definition.pipeline", "loom_common.domain.quality.kinds", "ruamel"}
"""Modules that read pipeline files. The configuration of a project is read without them."""
MODELS = {"loom_ai.budget.prices", "loom_ai.ports", "loom_coordinator"}
"""Modules that price calls of models and tell how many are made at once."""
QUERIES = {"loom_connectors.sql.parameters", "loom_connectors.sql.reading.queried_table"}
"""Modules that read the query of a source."""
BARE = CLIENTS | READERS | RUNNING | MIGRATING | DEFINITIONS | {"asyncio", "pydantic", "rich", "sqlalchemy"}
"""Holds what a command does not need that tells of itself alone."""
NOT_LOADED = {
    "--version": BARE | {"loom.cli.options"},
    "run --help": BARE,
    "--help": BARE,
    "validate pipeline.yaml": CLIENTS
    | READERS
    | RUNNING
    | MIGRATING
    | MESSAGES
    | MODELS
    | QUERIES
    | LOGGING
    | SETTINGS
    | {"sqlalchemy"},
    "status {run}": CLIENTS
    | READERS
    | RUNNING
    | MIGRATING
    | MAPPING
    | DEFINITIONS
    | OTHER_QUERIES
    | LOGGING
    | SENDING
    | SETTINGS
    | STEPS
    | EMOJI
    | {"loom_ai", "loom_connectors"},
    "run pipeline.yaml": CLIENTS | READERS | MIGRATING | MAPPING | OTHER_QUERIES | LOGGING | EMOJI | ASKING,
}


OTHER_KINDS = {"AiTransformConfig", "StepsTransformConfig", "Range", "Semantic", "NotNull", "Freshness"}
"""Some models of transforms, evaluators and checks that the pipeline does not have."""
COMMANDS = {"browse", "cache", "cost", "manifest", "offered", "quarantine", "validate"}
"""Some modules of commands in `loom.cli.commands`."""
OWN = {"validate pipeline.yaml": {"validate"}, "status {run}": {"browse"}, "run pipeline.yaml": {"validate"}}
"""Names by command the modules that it needs."""


class Ended(NamedTuple):
    """Holds what a command had done when it ended."""

    modules: set[str]
    """Holds every module that it had loaded."""
    collections: int
    """Counts the searches for garbage in more than its newest objects."""
    built: set[str]
    """Names Loom's models that pydantic has built."""
    texts: set[str]
    """Names Loom's models whose annotations are texts, which pydantic compiles at every start."""
    lists: set[str]
    """Names Loom's models with a field whose default is made by `list`, of which pydantic parses the signature."""


CODE = """
import json, sys
from loom.cli.app import main
sys.argv = {argv!r}
import gc

def searched():
    return sum(each["collections"] for each in gc.get_stats()[1:])

def below(kind):
    return [each for subclass in kind.__subclasses__() for each in [subclass, *below(subclass)]]

def annotations(model):
    return vars(model).get("__annotations__", {{}}).values()

before = searched()
try:
    main()
finally:
    models = below(sys.modules["pydantic"].BaseModel) if "pydantic" in sys.modules else []
    models = [each for each in models if each.__module__.startswith("loom")]
    with open("ended.json", "w") as file:
        json.dump({{
            "modules": list(sys.modules),
            "collections": searched() - before,
            "texts": [each.__name__ for each in models if any(isinstance(text, str) for text in annotations(each))],
            "lists": [
                each.__name__
                for each in models
                if any(field.default_factory is list for field in each.__pydantic_fields__.values())
            ],
            "built": [each.__name__ for each in models if each.__pydantic_complete__],
        }}, file)
"""


def ended(project, argv):
    """Carry out a command."""
    code = CODE.format(argv=["loom", *argv])
    done = subprocess.run([sys.executable, "-c", code], cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads((project / "ended.json").read_text())
    return Ended(**{name: value if name == "collections" else set(value) for name, value in found.items()})


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Return the folder of a pipeline that has run, whose state has the newest schema."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "in.csv").write_text("id,n\n1,1\n2,2\n")
    (folder / "pipeline.yaml").write_text(
        "name: p\nextract: {source: in.csv, key: id}\ntransform: {type: passthrough}\nload: {destination: out.jsonl}\n"
    )
    ended(folder, ["run", "pipeline.yaml", "--format", "json"])
    return folder


@pytest.mark.parametrize("command", NOT_LOADED)
def test_a_command_loads_no_package_that_it_does_not_use_and_searches_those_it_uses_for_no_garbage(project, command):
    with contextlib.closing(sqlite3.connect(project / ".loom/loom.db")) as state:
        (run_id,) = state.execute("SELECT run_id FROM pipeline_runs").fetchone()
    done = ended(project, command.format(run=run_id).split())
    assert done.modules & (NOT_LOADED[command] | SERVING) == set()
    others = {f"loom.cli.commands.{name}" for name in COMMANDS - OWN.get(command, COMMANDS)}
    assert done.modules & others == set()
    assert done.collections == 0
    assert done.texts == set()
    assert done.lists == set()
    assert done.built & OTHER_KINDS == set()


def test_the_client_of_models_loads_nothing_that_writes_logs():
    code = "import sys, loom_ai.providers.http_client; print({'structlog', 'rich.traceback'} & set(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert loaded.strip() == "set()"


def test_what_transforms_batches_loads_no_batches_of_providers_and_no_steps_before_a_plan_has_them():
    those = {"loom_ai.batches.execution", "loom_ai.batches.requests.values", "loom_ai.stores.sql.batches.store"}
    those |= {"loom_transformer.joining.join", "loom_transformer.steps.building", "loom_transformer.steps.stepping"}
    code = f"import sys, loom_transformer.handling; print({those} & set(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert loaded.strip() == "set()"
