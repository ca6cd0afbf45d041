"""Answers over HTTP what can be known of pipelines, runs and records: the REST API of Loom, version 1.

It keeps no state. It formats the results of the queries that the command line uses."""
