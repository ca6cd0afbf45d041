"""Generates the pages docs/pipeline.md, docs/connectors.md and docs/cli.md from the models and the command lines.

Text that is in no model is in the modules whose names end with `_text`. Only `python -m loom_dev.reference` and its
tests come in."""
