"""Knows runs: slices and credit, completion, lineage and cost."""
