"""Holds what a request to run says of the pipeline: its definition, given or registered, the versions of its prompts,
and records that are given in the place of its source.

The requests come in; it imports the rows and the domain."""
