"""Asks models through the batch APIs of their providers, which answer within a day for half the price.

`requests/` says what a waiting request, a batch and a result are, `protocols/` how the providers are spoken to, and
`execution.py` is what the journal asks (docs/adr/0028)."""
