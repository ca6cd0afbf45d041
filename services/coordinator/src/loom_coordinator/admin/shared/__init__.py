"""Contains what the admin commands share: options, connections, requests with an answer, and how results are printed.

Only the commands beside it come in here."""
