"""Shows a plugin package for Loom by example."""
