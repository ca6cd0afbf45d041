"""Contains the domain: records, pipeline definitions, gates, recovery and cost, as values and functions that do no
I/O."""
