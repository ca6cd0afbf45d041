"""Defines what a pipeline file says of a stream: its windows, and how long records wait for one another."""
