"""Raises alerts about what people must hear of: the rules, the check, the record of each alert, and the
sender.

Completion and the sweeper come in here."""
