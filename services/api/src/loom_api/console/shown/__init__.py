"""Prepares what pages show: templates and their filters, how a run goes, and definitions without secrets."""
