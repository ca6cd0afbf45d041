"""Finds ontologies - Loom's own, those of packages and those of a project - and applies one to a pipeline."""
