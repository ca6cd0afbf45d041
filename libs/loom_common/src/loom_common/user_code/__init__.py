"""Finds the user's own code, runs it under a limit of time, tries it again, and keeps it from taking its neighbours
down.

The stages that run functions, evaluators or gates of the user come in here, and nobody else."""
