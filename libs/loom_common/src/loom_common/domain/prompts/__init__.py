"""Reads, checks and renders prompt templates in a sandbox. They do no I/O.

The transformer, the evaluator and the reader of pipeline files import it."""
