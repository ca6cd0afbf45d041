"""Prompt templates: how they are read, checked and rendered, in a sandbox and without input or output.

The transformer, the evaluator and the reader of pipeline files come in here."""
