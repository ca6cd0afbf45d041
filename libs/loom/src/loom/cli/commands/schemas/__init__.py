"""Implements `loom schema`: the schemas of sources and of what pipelines load, their versions, and how they differ."""
