"""Contains the command that tests pipelines."""
