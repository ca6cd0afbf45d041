"""Runs the whole of Loom on this machine, for `loom run --cluster`: three servers and six services.

They run in containers where a Docker daemon answers, and otherwise as private processes under a supervisor. Their files
are in `.loom/cluster` of the project folder, readable by its owner only."""
