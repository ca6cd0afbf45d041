"""Runs other tools over the same input, each in an environment of its own, beside Loom.

`python -m bench.peers`, which is `make bench-peers`, builds the environments. The scripts that run in them import
nothing of Loom."""
