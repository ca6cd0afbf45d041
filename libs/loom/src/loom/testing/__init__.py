"""Tests pipelines: reads `tests/*.yaml`, runs the pipeline over their inputs with recorded answers, and compares.

The embedded engine runs the pipeline, beside production: state, journal and destination are temporary."""
