"""What a call costs, and what a run may still spend: prices, worst cases, reservations.

The journal reserves and settles here; the stores keep the ledger."""
