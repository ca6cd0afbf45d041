"""Computes what a call costs and what a run may still spend: prices, worst cases and reservations.

`loom_ai.journal` reserves and settles through it; `loom_ai.stores` keeps the ledger."""
