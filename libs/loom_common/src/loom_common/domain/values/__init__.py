"""Defines small values of definitions and runs: ids, durations, locations and latencies.

Every package above may import it. It imports nothing of Loom but the errors and the flow."""
