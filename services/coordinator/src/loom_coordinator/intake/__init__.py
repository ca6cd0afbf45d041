"""Takes what the coordinator is told: run requests, commands and facts, each group in one transaction.

The service starts its consumers; nobody else comes in here."""
