"""Reads documents that are read as a whole: YAML, TOML and Excel workbooks. Each has a limit of its size."""
