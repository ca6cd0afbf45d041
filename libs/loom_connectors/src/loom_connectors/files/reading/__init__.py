"""Implements the source that is files: what is open of them, and where reading stands in them.

Only the registry opens it. What it needs of a storage or a format is a port of the package above."""
