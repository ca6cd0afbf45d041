"""Knows the extras of Loom: what each is for, which packages it brings, whether they are here, and how to get them.

How depends on how Loom was installed: from its checkout, or from its wheel by pip, uv or pipx. From a wheel the
packages are named themselves, because the name of Loom on a package index may be somebody else's."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

PURPOSES = {
    "arbiter": "evaluators that ask a model: semantic, custom_criteria, factuality, groundedness, relevance, pairwise",
    "arrow": "Parquet and Arrow files",
    "aws": "credentials in AWS Secrets Manager",
    "bigquery": "BigQuery",
    "duckdb": "DuckDB files",
    "embeddings": "the evaluator embedding_similarity, and the nearest solved examples",
    "excel": "Excel workbooks",
    "kafka": "topics of Kafka",
    "mcp": "loom mcp: pipelines as tools of agents",
    "mssql": "Microsoft SQL Server",
    "mysql": "MySQL and MariaDB",
    "objects": "buckets: s3://, gs://, az://",
    "oidc": "signing in at an OpenID provider",
    "onnx": "scorers that are files in the ONNX format",
    "providers": "models of Bedrock and Cohere",
    "serve": "loom serve: the console and the REST API",
    "snowflake": "Snowflake",
    "tracing": "traces by OpenTelemetry",
}
"""Says what each extra is for."""
_DISTRIBUTION = "loom-pipelines"
_PARTS = (_DISTRIBUTION, "loom-common", "loom-connectors", "loom-ai", "loom-evaluator", "loom-transformer", "loom-api")
"""Names the distributions that declare extras: the first alone where Loom's wheel is installed, all in a checkout."""


def in_checkout() -> bool:
    """Tell whether this is Loom from its checkout."""
    return (Path(__file__).parents[4] / "Makefile").is_file()


def missing(extra: str) -> list[str]:
    """Return the requirements of an extra that nothing here meets."""
    return [line for line in requirements(extra) if not _is_met(line)]


def requirements(extra: str) -> list[str]:
    """Return the packages that an extra brings, with their bounds."""
    if extra == "serve" and in_checkout():  # the checkout has the API as a package of its own
        return sorted(line for line in _required("loom-api", "") if not line.startswith("loom-"))
    lines = {line for part in _PARTS for line in _required(part, extra) if not line.startswith("loom-")}
    return sorted(lines)


def remedy(extra: str) -> str:
    """Say how an extra is installed where this process runs, and in the image: the end of a sentence."""
    if in_checkout():
        return (
            f"`make extras EXTRAS={extra}` in the checkout; for the image, `docker build --build-arg EXTRAS={extra} .`"
        )
    return f"`{command(extra)}`"


def command(*wanted: str) -> str:
    """Return the command that installs these extras where this process runs."""
    if in_checkout():
        return "make install" if wanted == ("serve",) else f"make extras EXTRAS={','.join(wanted)}"
    lines = [line for extra in wanted for line in missing(extra) or requirements(extra)]
    packages = shlex.join(dict.fromkeys(lines))
    prefix = Path(sys.prefix)
    if (prefix / "uv-receipt.toml").is_file():
        return f"uv pip install --python {shlex.quote(sys.executable)} {packages}"
    if (prefix / "pipx_metadata.json").is_file():
        return f"pipx inject {_DISTRIBUTION} {packages}"
    return f"pip install {packages}"


def _required(distribution: str, extra: str) -> Iterator[str]:
    """Yield the requirements of a distribution that is here: those of an extra, or, for "", those of every use."""
    from importlib import metadata  # few commands need it, and it takes long to import

    from packaging.requirements import Requirement

    try:
        lines = metadata.requires(distribution) or []
    except metadata.PackageNotFoundError:
        return
    for requirement in map(Requirement, lines):
        marker = requirement.marker
        # What no extra asks for is needed anyway, and is no part of this one.
        with_extra = marker is None or marker.evaluate({"extra": extra})
        without = marker is None or marker.evaluate({"extra": ""})
        if without if extra == "" else with_extra and not without:
            requirement.marker = None
            yield str(requirement)


def _is_met(line: str) -> bool:
    from importlib import metadata

    from packaging.requirements import Requirement

    requirement = Requirement(line)
    try:
        return requirement.specifier.contains(metadata.version(requirement.name), prereleases=True)
    except metadata.PackageNotFoundError:
        return False
