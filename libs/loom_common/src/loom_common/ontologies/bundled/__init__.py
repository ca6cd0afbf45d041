"""Holds the ontologies that Loom brings, as YAML files."""
