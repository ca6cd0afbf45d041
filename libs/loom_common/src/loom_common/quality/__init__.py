"""Runs the quality checks of a stage on its records: rules, functions of the user's, other sources, and what the
records of a run have in common.

The services that check come in; what a check means is `loom_common.domain.quality`."""
