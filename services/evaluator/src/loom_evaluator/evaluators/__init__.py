"""Implements how each evaluator scores. A rule is a function of a record; the catalog knows which rule a definition
names."""
