"""Model calls at volume: clients, structured output, the journal, prices."""
