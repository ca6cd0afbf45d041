"""Asks run state, and the broker of a cluster, what requests want to know."""

from __future__ import annotations

from loom_api.reads.of_cluster import ClusterReads
from loom_api.reads.of_pipelines import PipelineReads
from loom_api.reads.of_quarantine import MASKED
from loom_api.reads.of_runs import RunReads
from loom_api.reads.of_spending import SpendingReads

__all__ = ["MASKED", "Reads"]


class Reads(RunReads, PipelineReads, SpendingReads, ClusterReads):
    """Adds to what the command line asks what only the API does: pages, and results that several queries make up."""
