"""Defines how models are called: providers, parameters, prices and further options, as a pipeline file has them.

The pipeline definition and the model clients import it."""
