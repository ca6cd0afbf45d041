"""Prompt templates: how they are read, checked and rendered in a sandbox. They do no I/O.

The transformer, the evaluator and the reader of pipeline files import it."""
