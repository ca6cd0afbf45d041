"""Says in which order the pages of the site stand, and under which headings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

Entries: TypeAlias = Mapping[str, "str | Entries"]

EXAMPLES = (
    "ticket_router",
    "support_tickets",
    "contract_fields",
    "product_catalogue",
    "rag_grading",
    "translation",
    "pii_redaction",
    "moderation",
    "vector_search",
    "company_reports",
    "plugin",
)

NAV: Entries = {
    "Start": {
        "What Loom is": "README.md",
        "Installing": "docs/installing.md",
        "A project": "docs/projects.md",
    },
    "Tutorials": {
        "A first pipeline": "docs/first-pipeline.md",
        "A better model, measured": "docs/tutorial.md",
    },
    "Examples": {
        "All examples": "examples/README.md",
        **{name.replace("_", " ").capitalize(): f"examples/{name}/README.md" for name in EXAMPLES},
        "The reviews": "examples/customer_sentiment/data/README.md",
    },
    "How to": {
        "Write an evaluator": "docs/how-to/evaluator.md",
        "Write a quality gate": "docs/how-to/gate.md",
        "Write a connector": "docs/how-to/connector.md",
        "Write a scorer": "docs/how-to/scorer.md",
        "Write an engine": "docs/how-to/engine.md",
        "Compare two prompts": "docs/how-to/prompts.md",
        "Choose thresholds": "docs/how-to/thresholds.md",
        "Cut costs": "docs/how-to/costs.md",
        "Test a pipeline": "docs/testing.md",
        "Check and test in CI": "docs/ci.md",
        "Run on Kubernetes": "docs/how-to/kubernetes.md",
        "Run under Airflow, Dagster and Prefect": "docs/orchestrators.md",
        "Build on results with dbt": "docs/dbt.md",
        "Tell lineage collectors": "docs/openlineage.md",
        "Offer pipelines to agents": "docs/agents.md",
        "Recover": "docs/how-to/recover.md",
        "Operate a cluster": "docs/operations.md",
    },
    "Concepts": {
        "In plain words": "docs/concepts.md",
        "Architecture": "docs/architecture.md",
        "Guarantees": "docs/guarantees.md",
        "Evaluation": "docs/evaluation.md",
        "Labels": "docs/labels.md",
        "Benchmarks": "docs/benchmarks.md",
        "Scoring again": "docs/scoring-again.md",
        "Quarantine": "docs/quarantine.md",
        "Cost": "docs/cost.md",
        "Questions": "docs/questions.md",
        "Several calls": "docs/several-calls.md",
        "Steps": "docs/steps.md",
        "Ontologies": "docs/ontologies.md",
        "Cascades": "docs/cascades.md",
        "Batch execution": "docs/batch-execution.md",
        "Embeddings": "docs/embeddings.md",
        "Streaming": "docs/streaming.md",
        "Plugins": "docs/plugins.md",
        "Performance": {
            "What is measured and reached": "docs/performance.md",
            "Models": "docs/performance/models.md",
            "Records that are only moved": "docs/performance/moving-records.md",
            "Streams and steps": "docs/performance/streams-and-steps.md",
            "API and console": "docs/performance/api-and-console.md",
            "Start-up and memory": "docs/performance/start-up-and-memory.md",
        },
        "Security": "docs/security.md",
    },
    "Reference": {
        "Pipeline file": "docs/pipeline.md",
        "Command line": "docs/cli.md",
        "Connectors": "docs/connectors.md",
        "Values and types": "docs/values.md",
        "Models": "docs/models.md",
        "Python": "docs/python.md",
        "REST API": "docs/api.md",
        "Console": "docs/console.md",
        "Wire format": "docs/wire-format.md",
    },
    "Comparison": "docs/comparison.md",
    "Project": {"Contributing": "CONTRIBUTING.md", "Changelog": "CHANGELOG.md"},
}
"""Holds the pages by the path of their source in the repository. The decisions (`docs/adr`) follow by number."""


def pages(entries: Entries = NAV) -> Iterator[str]:
    """Return the sources of all pages of the navigation, in their order."""
    for entry in entries.values():
        if isinstance(entry, str):
            yield entry
        else:
            yield from pages(entry)


def decisions(root: Path) -> Sequence[str]:
    """Return the sources of the decision records."""
    return sorted(path.relative_to(root).as_posix() for path in root.glob("docs/adr/*.md"))


def place_of(source: str) -> str:
    """Return the path of a page on the site, by that of its source."""
    if source == "README.md":
        return "index.md"
    folder, _, name = source.rpartition("/")
    if name == "README.md":
        return "examples/index.md" if folder == "examples" else f"{folder}.md"
    return source.removeprefix("docs/")
