"""Makes model calls at volume, with clients, structured output, the journal and prices."""
