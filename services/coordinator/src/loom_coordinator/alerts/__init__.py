"""Raises alerts about what people must hear of: the rules, the check, the record of each alert, and the webhook that
sends it.

Completion and the sweeper come in here."""
