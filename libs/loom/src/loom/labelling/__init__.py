"""Collects verdicts of people on records of a run, and compares them with what the run's evaluators said."""
