"""Measures how fast records go through Loom, beside loops that do the same hops and nothing else."""
