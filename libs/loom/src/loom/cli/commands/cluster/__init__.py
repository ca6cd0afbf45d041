"""Implements the commands that let a pipeline run without anybody at hand: on a schedule, or by its name on a
cluster."""
