"""Offers quality gates of your own: a class with `apply(scores) -> bool | Verdict`."""

from __future__ import annotations

from loom_common.domain.run.gates import QualityGate, Score, Verdict
from loom_evaluator.gates import register_gate

__all__ = ["QualityGate", "Score", "Verdict", "register_quality_gate"]


def register_quality_gate(name: str, gate: type[QualityGate]) -> None:
    """Make `quality_gate: <name>` mean `gate`, in this process. A pipeline that also runs in a cluster names its
    gate `module:Class` instead, which every worker can load."""
    register_gate(name, gate)
