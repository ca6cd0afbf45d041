"""Says before a run which models it asks, what that costs, and whether they can be asked so."""
