"""Small values that definitions and runs are made of: ids, durations, locations, shapes, prompts.

Everything above may import this package; it imports nothing of Loom but errors and the flow."""
