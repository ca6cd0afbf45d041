"""What a run is made of while it goes: its plan, budgets, tallies, gates and retries, as values and pure functions.

Everything above may import this package; it imports the definition and the values, and does no input or output."""
