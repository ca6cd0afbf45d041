"""Defines the parts of a running run as values and pure functions: plan, budget, tally, gates and retries.

Every package above may import it. It imports the definition and the values, and does no I/O."""
