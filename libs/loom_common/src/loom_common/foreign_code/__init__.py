"""Keeps code that is not Loom's, which runs in a process of Loom, from harming that process."""
